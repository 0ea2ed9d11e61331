import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { servingEntry } from '../../../infra/process/node-entry';
import { withExample } from '../examples';
import { parseCount } from '../options';
import { action, type Session } from '../session';

interface GatewayOptions {
  readonly port?: string;
  readonly processes?: string;
}

/** Workers are not imported here: the gateway is a process of its own. */
const gatewayEntry = resolve(__dirname, '../../../workers/gateway/start.cjs');

export function addGateway(program: Command): void {
  const command = program
    .command('gateway')
    .description('run a gateway of this workspace in the foreground; the store is all it needs')
    .option('--port <port>', 'port to serve on (default: SLIPWAY_GATEWAY_PORT, else 8080)')
    .option('--processes <count>', 'processes that share the port (default: SLIPWAY_GATEWAY_PROCESSES, else 1)')
    .action(action(gateway));
  withExample(command, 'slipway gateway --processes 4');
}

async function gateway(session: Session, { port, processes }: GatewayOptions): Promise<void> {
  const argv = servingEntry(gatewayEntry);
  const env = {
    ...process.env,
    SLIPWAY_WORKSPACE: session.config.workspace,
    ...(port === undefined ? {} : { SLIPWAY_GATEWAY_PORT: String(parseCount('--port', port)) }),
    ...(processes === undefined ? {} : { SLIPWAY_GATEWAY_PROCESSES: String(parseCount('--processes', processes)) }),
  };
  const child = spawn(argv[0]!, argv.slice(1), { env, stdio: 'inherit' });
  // Ctrl-C reaches both; a signal that only we were sent is passed on.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => void child.kill('SIGTERM'));
  const exit = await new Promise<number>((taken, failed) => {
    child.once('error', failed);
    child.once('exit', (code, signal) => taken(signal === null ? (code ?? 1) : 1));
  });
  session.exitWith(exit);
}
