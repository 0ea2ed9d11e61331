import { basename } from 'node:path';
import type { Command } from 'commander';
import { followBindings } from '../../../infra/endpoints/bindings';
import { checkRow, type EndpointCheck } from '../../check-endpoint';
import { silentLogger } from '../../../infra/telemetry/log';
import { SlipwayError } from '../../../workflows/domain/errors';
import { withExample } from '../examples';
import { formatNumber } from '../output';
import { action, type Session } from '../session';
import { readSpec } from './spec';

interface CheckOptions {
  readonly spec: string;
  readonly input?: string;
}

export function addEndpoint(program: Command): void {
  const endpoint = program
    .command('endpoint')
    .description('model servers that exist, to put the gateway in front of them');
  withExample(
    endpoint
      .command('check <file>')
      .description('send one row to the server of an endpoint.yaml and say what came of it')
      .requiredOption('--spec <file>', 'model.yaml: its features are what is sent')
      .option('--input <json>', 'the row, by feature name (default: one made of the declared ranges and categories)')
      .action(action(check)),
    'slipway endpoint check endpoint.yaml --spec model.yaml',
    `slipway endpoint check endpoint.yaml --spec model.yaml --input '{"distance": 954}'`,
  );
}

async function check(session: Session, file: string, options: CheckOptions): Promise<void> {
  const { config } = session;
  const bindings = followBindings(config.endpointsFile, { logger: silentLogger });
  const row = options.input === undefined ? undefined : parseRow(options.input);
  const found = await checkRow({ file, bindings, spec: await readSpec(options.spec), ...(row ? { row } : {}) });
  session.result(found, describe(file, options.spec, found));
}

function describe(
  file: string,
  spec: string,
  { endpoint, origin, path, row, score, latencyMs }: EndpointCheck,
): string[] {
  return [
    `${basename(file)}: the endpoint ${endpoint} is at ${origin}`,
    `sent:  POST ${path} with ${JSON.stringify(row)}`,
    `score: ${score}`,
    `took:  ${formatNumber(latencyMs)} ms`,
    `next:  slipway release import --endpoint ${file} --spec ${spec}`,
  ];
}

function parseRow(text: string): Readonly<Record<string, unknown>> {
  try {
    const row: unknown = JSON.parse(text);
    if (typeof row === 'object' && row !== null && !Array.isArray(row)) return row as Record<string, unknown>;
  } catch {
    // Told below, with what was expected.
  }
  throw new SlipwayError('USAGE', '--input must be one JSON object: values by feature name');
}
