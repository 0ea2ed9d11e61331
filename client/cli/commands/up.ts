import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { nodeEntry } from '../../../infra/process/node-entry';
import { findLockHolder } from '../../../infra/workspace/lock';
import { readStackState, type StackState } from '../../../infra/workspace/stack-state';
import { ERRORS, SlipwayError } from '../../../workflows/domain/errors';
import { withExample } from '../examples';
import { action, type Session } from '../session';

interface UpOptions {
  readonly detach?: boolean;
  readonly temporalPort?: string;
  readonly uiPort?: string;
  readonly gatewayPort?: string;
  readonly gatewayGrpcPort?: string;
}

/** Workers are not imported here: the supervisor is a process of its own. */
const supervisorEntry = resolve(__dirname, '../../../workers/stack/main.ts');

export function addUp(program: Command): void {
  const command = program
    .command('up')
    .description('start Temporal, the workers and a gateway of this workspace, and keep them running')
    .option('--detach', 'return when everything is ready; `slipway down` stops it')
    .option('--temporal-port <port>', 'port of Temporal (default: the remembered one, or a free one)')
    .option('--ui-port <port>', 'port of the Temporal UI')
    .option('--gateway-port <port>', 'port of the gateway')
    .option('--gateway-grpc-port <port>', 'port of the gateway for gRPC')
    .action(action(up));
  withExample(command, 'slipway up', 'slipway up --workspace second --detach');
}

async function up(session: Session, options: UpOptions): Promise<void> {
  const argv = [...nodeEntry(supervisorEntry), ...portArguments(options)];
  // The stack is started from the caller's own settings, not from those of its last start.
  const env = { ...process.env, SLIPWAY_WORKSPACE: session.config.workspace };
  if (options.detach === true) await upDetached(session, argv, env);
  else await upAttached(session, argv, env);
}

/** Ctrl-C reaches the supervisor by itself, or through us where only we were told; twice is once. If we are killed, it ends. */
async function upAttached(session: Session, argv: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const child = spawn(argv[0]!, argv.slice(1), {
    env: { ...env, SLIPWAY_SUPERVISED: '1' },
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  process.on('SIGINT', () => void child.kill('SIGINT'));
  process.on('SIGTERM', () => void child.kill('SIGTERM'));
  session.exitWith(await exitCodeOf(child));
}

async function upDetached(session: Session, argv: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const { home } = session.config;
  mkdirSync(join(home, 'logs'), { recursive: true });
  const file = join(home, 'logs', 'supervisor.out.log');
  const log = openSync(file, 'w');
  const child = spawn(argv[0]!, argv.slice(1), { env, stdio: ['ignore', log, log], detached: true });
  closeSync(log);
  child.unref();
  const state = await waitUntilRunning(home, child, file, session);
  session.result(state, [
    `workspace ${state.workspace} is up`,
    ...Object.entries(state.urls).map(([name, url]) => `  ${name}: ${url ?? '-'}`),
  ]);
}

async function waitUntilRunning(home: string, child: ChildProcess, log: string, session: Session): Promise<StackState> {
  let exit: number | null = null;
  void exitCodeOf(child).then((code) => (exit = code));
  for (;;) {
    const state = readStackState(home);
    if (state?.state === 'running' && state.supervisor.pid === child.pid) return state;
    if (exit !== null) throw startFailure(exit, log, findLockHolder(home)?.pid, session);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function startFailure(exit: number, log: string, holder: number | undefined, session: Session): SlipwayError {
  if (holder !== undefined)
    return new SlipwayError('STACK_RUNNING', `workspace ${session.config.workspace} is in use by process ${holder}`);
  return new SlipwayError(
    exit === ERRORS.TEMPORAL_UNAVAILABLE.exit ? 'TEMPORAL_UNAVAILABLE' : 'INTERNAL',
    `the stack did not start; see ${log}`,
  );
}

function exitCodeOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? (signal === null ? 1 : 128)));
    child.once('error', () => resolve(ERRORS.INTERNAL.exit));
  });
}

function portArguments(options: UpOptions): string[] {
  const pairs = [
    ['--temporal-port', options.temporalPort],
    ['--ui-port', options.uiPort],
    ['--gateway-port', options.gatewayPort],
    ['--gateway-grpc-port', options.gatewayGrpcPort],
  ] as const;
  return pairs.flatMap(([flag, value]) => (value === undefined ? [] : [flag, value]));
}
