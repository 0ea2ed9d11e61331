import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Logger } from '../../infra/telemetry/log';
import { countDeath, RESTART_BACKOFF, restartDelayMs } from './backoff';
import { guarded } from './guard';

export interface ServiceSpec {
  readonly name: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly logFile: string;
  /** How long it may drain before it is killed. */
  readonly stopTimeoutMs: number;
  /** Whether the process with this pid does its work. */
  readonly isReady: (pid: number) => Promise<boolean>;
}

export interface ServiceState {
  readonly pid: number | null;
  readonly restarts: number;
  readonly startedAt: string | null;
  readonly log: string;
}

/** One supervised child process. */
export interface Service {
  readonly spec: ServiceSpec;
  state(): ServiceState;
  start(): void;
  /** Drains (SIGTERM), then kills; resolves when nothing of its process group is left. */
  stop(): Promise<void>;
}

/** Keeps one program running until it is stopped; `onChange` is told of each start and death. */
export function createService(spec: ServiceSpec, logger: Logger, onChange: () => void): Service {
  let child: ChildProcess | null = null;
  let startedAtMs = 0;
  let restarts = 0;
  let deaths = 0;
  let stopping = false;
  let timer: NodeJS.Timeout | undefined;
  let whenGone = Promise.resolve();

  const launch = (): void => {
    startedAtMs = Date.now();
    const born = spawnGuarded(spec);
    child = born;
    whenGone = new Promise((resolve) => {
      const gone = (how: string): void => {
        if (child !== born) return;
        child = null;
        sweep(born);
        afterDeath(how);
        resolve();
      };
      born.once('exit', (code, signal) => gone(signal ?? `exit ${code}`));
      born.once('error', (error) => gone(error.message));
    });
    logger.info({ service: spec.name, pid: born.pid }, 'service started');
    onChange();
  };

  const afterDeath = (how: string): void => {
    if (!stopping) {
      deaths = countDeath(RESTART_BACKOFF, deaths, Date.now() - startedAtMs);
      const delayMs = restartDelayMs(RESTART_BACKOFF, deaths);
      logger.warn({ service: spec.name, how, delayMs, log: spec.logFile }, 'service died and is started again');
      restarts += 1;
      timer = setTimeout(launch, delayMs);
    }
    onChange();
  };

  return {
    spec,
    state: () => ({
      pid: child?.pid ?? null,
      restarts,
      startedAt: child ? new Date(startedAtMs).toISOString() : null,
      log: spec.logFile,
    }),
    start: launch,
    stop: async () => {
      stopping = true;
      clearTimeout(timer);
      child?.kill('SIGTERM');
      const force = setTimeout(() => killGroup(child, 'SIGKILL'), spec.stopTimeoutMs);
      await whenGone;
      clearTimeout(force);
    },
  };
}

function spawnGuarded(spec: ServiceSpec): ChildProcess {
  const [program, ...args] = guarded(spec.argv);
  const log = openSync(spec.logFile, 'a');
  try {
    // A process group of its own: Ctrl-C reaches the supervisor only, which stops its children in order.
    return spawn(program, args, { env: spec.env, stdio: ['pipe', log, log], detached: true });
  } finally {
    closeSync(log);
  }
}

/** Ends what the child left in its group (the guard's job, children of its own) and lets go of its input. */
function sweep(child: ChildProcess): void {
  killGroup(child, 'SIGKILL');
  child.stdin?.destroy();
}

function killGroup(child: ChildProcess | null, signal: NodeJS.Signals): void {
  if (child?.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
