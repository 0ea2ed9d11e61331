import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createSlipwayClient, type SlipwayClient } from '../../client/slipway-client';
import { parseConfig, type SlipwayConfig } from '../../infra/config/config';
import { nodeEntry } from '../../infra/process/node-entry';
import { readStackState, type StackState, withStackEnvironment } from '../../infra/workspace/stack-state';
import { freePorts } from './ports';

export interface TestStackOptions {
  readonly workspace?: string;
  /** State folder to go on with; default: a new temporary one, removed by `stop`. */
  readonly state?: string;
  /** More settings, such as SLIPWAY_TIMEOUT_DIVISOR. */
  readonly env?: Readonly<Record<string, string>>;
}

export type ServiceName = 'temporal' | 'control' | 'compute' | 'gpu' | 'gateway';

/** A whole stack as `slipway up` runs it, on free ports, in a workspace of its own. */
export interface TestStack {
  readonly state: string;
  readonly config: SlipwayConfig;
  /** Environment for CLI commands; they find the stack by its workspace, as a user's do. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly supervisor: ChildProcess;
  client(): Promise<SlipwayClient>;
  current(): StackState;
  pidOf(service: ServiceName): number;
  /** Signals one process, and says which pid it was. */
  kill(service: ServiceName, signal?: NodeJS.Signals): number;
  /** Resolves when the service runs under another pid than the given one, and the stack says so. */
  waitForRestart(service: ServiceName, oldPid: number, timeoutMs?: number): Promise<number>;
  /** What the supervisor printed. */
  output(): string;
  /** SIGINT, waits for the end; removes the state folder where it made it. Returns the exit code. */
  stop(): Promise<number | null>;
}

export const supervisorEntry = resolve(__dirname, '../../workers/stack/main.ts');

const START_TIMEOUT_MS = 120_000;
const RESTART_TIMEOUT_MS = 30_000;

export async function startStack(options: TestStackOptions = {}): Promise<TestStack> {
  const state = options.state ?? mkdtempSync(join(tmpdir(), 'slipway-stack-'));
  const own = {
    ...cleanEnvironment(),
    SLIPWAY_STATE: state,
    SLIPWAY_WORKSPACE: options.workspace ?? 'test',
    ...options.env,
  };
  const home = parseConfig(own).home;
  const { supervisor, output } = await spawnSupervisor(own, home);
  try {
    await until(
      () => isRunning(home, supervisor),
      START_TIMEOUT_MS,
      () => `the stack did not start:\n${output()}`,
    );
  } catch (error) {
    await end(supervisor);
    throw error;
  }
  const config = parseConfig(withStackEnvironment(own));
  const current = (): StackState => readStackState(home)!;
  const pidOf = (service: ServiceName): number => current().processes[service]!.pid!;
  const clients: SlipwayClient[] = [];
  return {
    state,
    config,
    env: own,
    supervisor,
    output,
    current,
    pidOf,
    client: async () => {
      const client = await createSlipwayClient(config);
      clients.push(client);
      return client;
    },
    kill: (service, signal = 'SIGKILL') => {
      const pid = pidOf(service);
      process.kill(pid, signal);
      return pid;
    },
    waitForRestart: async (service, oldPid, timeoutMs = RESTART_TIMEOUT_MS) => {
      const renewed = (): boolean => ![null, undefined, oldPid].includes(current().processes[service]?.pid);
      await until(renewed, timeoutMs, () => `${service} was not started again`);
      return pidOf(service);
    },
    stop: async () => {
      await Promise.all(clients.map((client) => client.close()));
      const code = await end(supervisor);
      if (options.state === undefined) rmSync(state, { recursive: true, force: true });
      return code;
    },
  };
}

/** Settings of the machine must not reach a test. */
function cleanEnvironment(): Record<string, string> {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(SLIPWAY_(?!CACHE)|TEMPORAL_|AWS_|NODE_OPTIONS|JEST_)/.test(name),
  );
  return Object.fromEntries(kept) as Record<string, string>;
}

/** A stack that was up before keeps its ports; a new one gets free ones, whatever else runs here. */
async function spawnSupervisor(
  env: Readonly<Record<string, string>>,
  home: string,
): Promise<{ supervisor: ChildProcess; output: () => string }> {
  const ports = readStackState(home) ? [] : await freePorts(3);
  const flags =
    ports.length === 0
      ? []
      : ['--temporal-port', String(ports[0]), '--ui-port', String(ports[1]), '--gateway-port', String(ports[2])];
  const [program, ...args] = nodeEntry(supervisorEntry);
  const supervisor = spawn(program!, [...args, ...flags], {
    env: { ...env, SLIPWAY_SUPERVISED: '1' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let text = '';
  supervisor.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  supervisor.stderr?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return { supervisor, output: () => text };
}

function isRunning(home: string, supervisor: ChildProcess): boolean {
  if (supervisor.exitCode !== null) throw new Error('the supervisor ended while starting');
  const state = readStackState(home);
  return state?.state === 'running' && state.supervisor.pid === supervisor.pid;
}

async function end(supervisor: ChildProcess): Promise<number | null> {
  if (supervisor.exitCode === null && supervisor.signalCode === null) {
    const exited = new Promise((resolve) => supervisor.once('exit', resolve));
    supervisor.kill('SIGINT');
    await exited;
  }
  return supervisor.exitCode;
}

export async function until(
  condition: () => boolean | Promise<boolean>,
  timeoutMs: number,
  explain: () => string,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(explain());
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
