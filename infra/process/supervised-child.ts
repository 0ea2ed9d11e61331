import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { groupMemoryMb } from './group-memory';
import { collect, parseProgress } from './output';
import type { ChildLimits, ChildOutcome, ChildTask } from './port';

export { nodeEntry } from './node-entry';
export { endWithParent } from './end-with-parent';

const MEMORY_LOOK_MS = 200;
/** A process that left the group may hold our pipes open; it does not hold up the outcome longer than this. */
const PIPE_GRACE_MS = 1_000;

/**
 * Variables that a child gets from us without being asked for. A list of what is allowed, because the environment of a worker
 * holds secrets (S3 keys) that a trainer or a hostile model has no business with.
 */
const INHERITED =
  /^(PATH|HOME|USER|TMPDIR|TMP|TEMP|LANG|LC_.*|TZ|LD_LIBRARY_PATH|CUDA_.*|NVIDIA_.*|OMP_.*|XDG_CACHE_HOME|SLIPWAY_CACHE)$/;

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/**
 * Runs a program to its end in a process group of its own and returns how it ended. The group is SIGKILLed when a limit is passed, when
 * `signal` aborts (then this rejects with the signal's reason), when the program itself ended but left others behind, and when
 * this process dies, however it dies. A program that cannot be started exits with 126 or 127, as in a shell.
 */
export async function runChild(task: ChildTask): Promise<ChildOutcome> {
  task.signal?.throwIfAborted();
  const child = start(task);
  let limit: ChildOutcome['limit'] = null;
  const endFor = (reason: Exclude<ChildOutcome['limit'], null>): void => {
    limit ??= reason;
    killGroup(child.pid);
  };
  const budget = { left: task.limits.outputBytes, onSpent: () => endFor('output') };
  const stdout = collect(child.stdout, budget, (line) => reportProgress(task, line));
  const stderr = collect(child.stderr, budget, () => false);
  const release = watch(child, task, endFor);
  try {
    const { exitCode, signal } = await ended(child);
    if (task.signal?.aborted && limit === null) task.signal.throwIfAborted();
    return { exitCode, signal, limit, stdout: stdout(), stderr: stderr() };
  } finally {
    release();
  }
}

function start(task: ChildTask): Child {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => INHERITED.test(name)));
  return spawn('/bin/sh', ['-c', guardScript(task.limits), 'slipway-child', ...task.argv], {
    ...(task.cwd === undefined ? {} : { cwd: task.cwd }),
    env: { ...env, ...task.env },
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

/**
 * Leaves a watcher in the group that blocks on our end of standard input, then becomes the program itself. The watcher does not
 * depend on the program's event loop, which a native call (or a hostile model) may hold for ever. Nothing is ever written to
 * that input, so the program may watch it as well (`endWithParent`).
 */
function guardScript(limits: ChildLimits): string {
  return [
    'ulimit -c 0',
    ...(limits.addressSpaceMb === undefined ? [] : [`ulimit -v ${Math.ceil(limits.addressSpaceMb * 1024)}`]),
    ...(limits.cpuSeconds === undefined ? [] : [`ulimit -t ${Math.ceil(limits.cpuSeconds)}`]),
    'exec 3<&0',
    '(cat <&3 >/dev/null; kill -9 0) >/dev/null 2>&1 &',
    'exec "$@" 3<&-',
  ].join('\n');
}

function watch(child: Child, task: ChildTask, endFor: (reason: 'memory' | 'time') => void): () => void {
  const memory = setInterval(() => {
    if (child.pid !== undefined && groupMemoryMb(child.pid) > task.limits.memoryMb) endFor('memory');
  }, MEMORY_LOOK_MS);
  const time = setTimeout(() => endFor('time'), task.limits.timeoutMs);
  const abort = (): void => killGroup(child.pid);
  task.signal?.addEventListener('abort', abort, { once: true });
  return () => {
    clearInterval(memory);
    clearTimeout(time);
    task.signal?.removeEventListener('abort', abort);
    killGroup(child.pid);
  };
}

function ended(child: Child): Promise<{ exitCode: number | null; signal: string | null }> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.stdin.on('error', () => undefined); // The child ended first; its outcome says how.
    child.once('exit', (exitCode, signal) => {
      killGroup(child.pid);
      const grace = setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, PIPE_GRACE_MS);
      child.once('close', () => {
        clearTimeout(grace);
        resolve({ exitCode, signal });
      });
    });
  });
}

function killGroup(group: number | undefined): void {
  if (group === undefined) return;
  try {
    process.kill(-group, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function reportProgress(task: ChildTask, line: string): boolean {
  const progress = task.onProgress && parseProgress(line);
  if (!progress) return false;
  task.onProgress?.(progress);
  return true;
}
