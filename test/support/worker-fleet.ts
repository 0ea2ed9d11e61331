import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createSlipwayClient, type SlipwayClient } from '../../client/slipway-client';
import { parseConfig, type SlipwayConfig } from '../../infra/config/config';
import { nodeEntry } from '../../infra/process/node-entry';
import { connectTemporal } from '../../infra/temporal/connection';
import { ensureNamespace } from '../../infra/temporal/namespace';
import { registerSearchAttributes } from '../../infra/temporal/search-attributes';
import { ensureWorkspace } from '../../infra/workspace/workspace';
import { guarded } from '../../workers/stack/guard';

export const ROLES = ['control', 'compute', 'gpu'] as const;
export type Role = (typeof ROLES)[number] | 'gateway';

export interface FleetOptions {
  /** Temporary folder: state of the workspace, logs. */
  readonly folder: string;
  readonly workspace: string;
  readonly temporalAddress: string;
  readonly roles: readonly Role[];
  /** More settings for every process and for the client. */
  readonly env?: Readonly<Record<string, string>>;
  /** argv of a role; default: its own main. */
  readonly entry?: (role: Role) => string[];
}

/** Processes of one workspace under a supervisor that starts what dies again at once; a Temporal server runs elsewhere. */
export interface Fleet {
  readonly config: SlipwayConfig;
  readonly env: Readonly<Record<string, string>>;
  readonly client: SlipwayClient;
  pidOf(role: Role): number;
  /** Number of times that processes died. */
  deaths(): number;
  /** SIGKILLs a role's process; another one is started. Says which pid it was. */
  kill(role: Role): number;
  stop(): Promise<void>;
}

const workers = resolve(__dirname, '../../workers');

export function mainOf(role: Role): string[] {
  return nodeEntry(role === 'gateway' ? join(workers, 'gateway', 'main.ts') : join(workers, `${role}.ts`));
}

/** Makes workspace and namespace, and starts the processes. They are not waited for: work waits for them. */
export async function startFleet(options: FleetOptions): Promise<Fleet> {
  const env = {
    ...inherited(),
    SLIPWAY_STATE: options.folder,
    SLIPWAY_WORKSPACE: options.workspace,
    TEMPORAL_ADDRESS: options.temporalAddress,
    SLIPWAY_TIMEOUT_DIVISOR: '10',
    SLIPWAY_LOG_LEVEL: 'info',
    ...options.env,
  };
  const config = parseConfig(env);
  await ensureWorkspace(config);
  await prepareNamespace(config);
  mkdirSync(join(config.home, 'logs'), { recursive: true });
  const entry = options.entry ?? mainOf;
  const keepers = new Map(options.roles.map((role) => [role, keepAlive(entry(role), env, logOf(config, role))]));
  const client = await createSlipwayClient(config);
  return {
    config,
    env,
    client,
    pidOf: (role) => keepers.get(role)!.child().pid!,
    deaths: () => [...keepers.values()].reduce((sum, keeper) => sum + keeper.deaths(), 0),
    kill: (role) => {
      const { pid } = keepers.get(role)!.child();
      process.kill(pid!, 'SIGKILL');
      return pid!;
    },
    stop: async () => {
      await client.close();
      await Promise.all([...keepers.values()].map((keeper) => keeper.stop()));
    },
  };
}

export function logOf(config: SlipwayConfig, role: Role): string {
  return join(config.home, 'logs', `${role}.log`);
}

/** Settings of the machine must not reach a test; those of the test itself come after. */
function inherited(): Record<string, string> {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(SLIPWAY_(?!CACHE)|TEMPORAL_|NODE_OPTIONS|JEST_)/.test(name),
  );
  return Object.fromEntries(kept) as Record<string, string>;
}

async function prepareNamespace(config: SlipwayConfig): Promise<void> {
  const temporal = await connectTemporal(config.temporal);
  try {
    await ensureNamespace(temporal.connection, config.temporal.namespace);
    await registerSearchAttributes(temporal.connection, config.temporal.namespace);
  } finally {
    await temporal.close();
  }
}

interface Keeper {
  child(): ChildProcess;
  deaths(): number;
  stop(): Promise<void>;
}

function keepAlive(argv: string[], env: NodeJS.ProcessEnv, logFile: string): Keeper {
  const log = createWriteStream(logFile, { flags: 'a' });
  let stopping = false;
  let deaths = 0;
  let exited: Promise<void> = Promise.resolve();
  const start = (): ChildProcess => {
    // The guard ends it when this process is gone, however that ended.
    const [program, ...args] = guarded(argv);
    const child = spawn(program, args, { env, detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    exited = new Promise((done) =>
      child.once('exit', (code, signal) => {
        if (!stopping) {
          deaths += 1;
          log.write(`died: ${signal ?? code}\n`);
          current = start();
        }
        done();
      }),
    );
    return child;
  };
  let current = start();
  return {
    child: () => current,
    deaths: () => deaths,
    stop: async () => {
      stopping = true;
      current.kill('SIGKILL');
      await exited;
      log.end();
    },
  };
}
