import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseConfig } from '../../infra/config/config';
import { createLogger } from '../../infra/telemetry/log';
import { ensureTool } from '../../infra/tools/ensure-tool';
import type { StackPorts } from '../../infra/workspace/ports';
import { ERRORS, SlipwayError } from '../../workflows/domain/errors';
import { runStack } from './stack';

const print = (line: string): void => void process.stdout.write(`${line}\n`);

async function main(): Promise<void> {
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  // Started by `slipway up`: when that is killed, nobody is left to stop us.
  if (process.env['SLIPWAY_SUPERVISED'] === '1') process.stdin.on('end', stop).on('error', stop).resume().unref();

  const config = parseConfig(process.env);
  mkdirSync(join(config.home, 'logs'), { recursive: true });
  const logger = createLogger(config, 'supervisor', join(config.home, 'logs', 'supervisor.log'));
  const findTemporal = (): Promise<string> => ensureTool('temporal-cli', (line) => print(`  ${line}`));
  await runStack({
    env: process.env,
    ports: parsePorts(process.argv.slice(2)),
    logger,
    print,
    findTemporal,
    signal: stopping.signal,
  });
}

function parsePorts(args: readonly string[]): Partial<StackPorts> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      'temporal-port': { type: 'string' },
      'ui-port': { type: 'string' },
      'gateway-port': { type: 'string' },
      'gateway-grpc-port': { type: 'string' },
    },
  });
  const asked: Partial<Record<keyof StackPorts, number>> = {};
  if (values['temporal-port'] !== undefined) asked.temporal = Number(values['temporal-port']);
  if (values['ui-port'] !== undefined) asked.temporalUi = Number(values['ui-port']);
  if (values['gateway-port'] !== undefined) asked.gateway = Number(values['gateway-port']);
  if (values['gateway-grpc-port'] !== undefined) asked.gatewayGrpc = Number(values['gateway-grpc-port']);
  return asked;
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    const code = error instanceof SlipwayError ? error.code : 'INTERNAL';
    process.stderr.write(
      `${code}: ${error instanceof Error ? error.message : String(error)}\n${ERRORS[code].advice}\n`,
    );
    process.exit(ERRORS[code].exit);
  },
);
