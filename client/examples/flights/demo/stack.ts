import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseConfig, type SlipwayConfig } from '../../../../infra/config/config';
import { ensureBucket } from '../../../../infra/object-store/s3-bucket';
import { nodeEntry } from '../../../../infra/process/node-entry';
import { type LocalS3, startLocalS3 } from '../../../../infra/tools/versitygw-server';
import { findLockHolder } from '../../../../infra/workspace/lock';
import { readStackState, withStackEnvironment, type StackState } from '../../../../infra/workspace/stack-state';

export type ProcessName = 'control' | 'compute' | 'gpu' | 'gateway';

export interface DemoStack {
  readonly config: SlipwayConfig;
  readonly env: Readonly<Record<string, string | undefined>>;
  state(): StackState;
  /** SIGKILL; resolves with how long the supervisor needed until another process of that name runs, in milliseconds. */
  kill(name: ProcessName): Promise<number>;
  /** Runs a command of the CLI and returns its output. */
  cli(args: readonly string[]): Promise<{ readonly exitCode: number; readonly stdout: string }>;
  stop(): Promise<void>;
}

const READY_TIMEOUT_MS = 15 * 60_000;
const WORKSPACE = 'demo';
const cliEntry = resolve(__dirname, '../../../cli/slipway.ts');

/** A fresh workspace with its own stack, started as a user would: by `slipway up`. */
export async function startStack(
  folder: string,
  storeKind: 'fs' | 's3',
  say: (line: string) => void,
): Promise<DemoStack> {
  const home = join(folder, WORKSPACE);
  const holder = findLockHolder(home);
  if (holder)
    throw new Error(
      `a demo is running already (process ${holder.pid}); end it with: npx slipway down --workspace ${WORKSPACE}`,
    );
  rmSync(home, { recursive: true, force: true });
  mkdirSync(home, { recursive: true });
  const s3 = storeKind === 's3' ? await startLocalS3({ folder: join(home, 's3'), onProgress: say }) : null;
  const base = {
    ...process.env,
    SLIPWAY_STATE: folder,
    SLIPWAY_WORKSPACE: WORKSPACE,
    SLIPWAY_LOG_LEVEL: 'info',
    ...s3Environment(s3),
  };
  if (s3) {
    Object.assign(process.env, s3.credentials); // The client in this process signs its S3 requests with the same development key.
    const { store } = parseConfig(base);
    if (store.kind === 's3') await ensureBucket(store);
  }
  const child = launch(base, home);
  await untilRunning(home, child, say);
  const env = withStackEnvironment(base);
  return {
    config: parseConfig(env),
    env,
    state: () => currentState(home),
    kill: (name) => killAndAwait(home, name),
    cli: (args) => runCli(args, env),
    stop: async () => {
      await end(child);
      await s3?.stop();
    },
  };
}

function s3Environment(s3: LocalS3 | null): Record<string, string> {
  if (!s3) return {};
  return {
    ...s3.credentials,
    SLIPWAY_STORE: `s3://slipway-demo/${WORKSPACE}`,
    SLIPWAY_S3_ENDPOINT: s3.endpoint,
    AWS_REGION: s3.region,
  };
}

function launch(env: NodeJS.ProcessEnv, home: string): ChildProcess {
  const argv = [...nodeEntry(cliEntry), 'up'];
  const child = spawn(argv[0]!, argv.slice(1), { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const log = createWriteStream(join(home, 'up.log'));
  child.stdout?.pipe(log, { end: false });
  child.stderr?.pipe(log, { end: false });
  return child;
}

async function untilRunning(home: string, child: ChildProcess, say: (line: string) => void): Promise<void> {
  child.stdout?.on('data', (chunk: Buffer) =>
    chunk
      .toString()
      .split('\n')
      .filter((line) => line.trim() !== '')
      .forEach(say),
  );
  const deadline = Date.now() + READY_TIMEOUT_MS;
  while (readStackState(home)?.state !== 'running') {
    if (child.exitCode !== null)
      throw new Error(`the stack did not start (exit ${child.exitCode}); see ${join(home, 'up.log')}`);
    if (Date.now() > deadline) throw new Error(`the stack was not ready in ${READY_TIMEOUT_MS / 60_000} minutes`);
    await sleep(200);
  }
}

function currentState(home: string): StackState {
  const state = readStackState(home);
  if (!state) throw new Error(`no stack.json in ${home}`);
  return state;
}

async function killAndAwait(home: string, name: ProcessName): Promise<number> {
  const before = currentState(home).processes[name]?.pid;
  if (!before) throw new Error(`${name} does not run`);
  const begun = Date.now();
  process.kill(before, 'SIGKILL');
  for (;;) {
    const now = currentState(home).processes[name]?.pid;
    if (now && now !== before) return Date.now() - begun;
    await sleep(50);
  }
}

function runCli(args: readonly string[], env: NodeJS.ProcessEnv): Promise<{ exitCode: number; stdout: string }> {
  const argv = [...nodeEntry(cliEntry), ...args];
  const child = spawn(argv[0]!, argv.slice(1), { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  return new Promise((done, fail) => {
    child.once('error', fail);
    child.once('close', (code) => done({ exitCode: code ?? 1, stdout: Buffer.concat(chunks).toString() }));
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const gone = new Promise<void>((done) => child.once('exit', () => done()));
  child.kill('SIGTERM');
  await gone;
}
