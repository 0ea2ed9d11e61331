import { spawn, type ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

const START_WITHIN_MS = 120_000;
const LOOK_EVERY_MS = 100;
const END_WITHIN_MS = 15_000;
const SAID_CHARACTERS = 2_000;

/** A server under test: a process of its own, head of its own session, so that all it starts is found and ended. */
export interface ServerProcess {
  readonly pid: number;
  readonly origin: string;
  stop(): Promise<void>;
}

export interface ServerCommand {
  readonly name: string;
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly port: number;
  /** True when it answers as it should; a look that fails is a no. */
  readonly isUp: (origin: string) => Promise<boolean>;
}

/** Starts a server and waits until it answers. Throws with the end of what it printed where it does not. */
export async function startServer(command: ServerCommand): Promise<ServerProcess> {
  const [program, ...argv] = command.argv;
  const child = spawn(program!, argv, {
    ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
    env: { ...process.env, ...command.env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = collectEnd(child);
  const origin = `http://127.0.0.1:${command.port}`;
  const server = { pid: child.pid!, origin, stop: () => stop(child) };
  for (const deadline = Date.now() + START_WITHIN_MS; Date.now() < deadline; await sleep(LOOK_EVERY_MS)) {
    if (child.exitCode !== null || child.signalCode !== null) break;
    if (await command.isUp(origin).catch(() => false)) return server;
  }
  await server.stop();
  throw new Error(`${command.name} did not start: ${said()}`);
}

/** What it printed last. Read on always: a full pipe would stop the server. */
function collectEnd(child: ChildProcess): () => string {
  let text = '';
  for (const stream of [child.stdout!, child.stderr!])
    stream.setEncoding('utf8').on('data', (chunk: string) => (text = (text + chunk).slice(-SAID_CHARACTERS)));
  child.on('error', (error) => (text += error.message));
  return () => text;
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = new Promise<void>((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) resolve();
    else child.once('exit', () => resolve());
  });
  signalGroup(child, 'SIGTERM');
  const timer = setTimeout(() => signalGroup(child, 'SIGKILL'), END_WITHIN_MS);
  await ended;
  clearTimeout(timer);
  signalGroup(child, 'SIGKILL'); // Whoever it left behind.
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {
    // Nobody is left.
  }
}
