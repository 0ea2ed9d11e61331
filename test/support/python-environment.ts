import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { ProcessIdentity } from '../../infra/workspace/process-table';
import { identify, isAlive } from '../../infra/workspace/process-table';

const LOCK_POLL_MS = 500;

/**
 * A Python with these requirements, made once from PyPI in the cache outside the checkout and named by their digest. Null where there is no
 * Python 3.11 or newer. A virtual environment cannot be moved, so a half-made one is removed and made again in its place.
 * `progress` lets pip say what it fetches, for people who wait.
 */
export function pythonEnvironment(
  requirements: string,
  { shows = 'errors' }: { readonly shows?: 'errors' | 'progress' } = {},
): string | null {
  if (!hasPython()) return null;
  const digest = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12);
  const cache =
    process.env['SLIPWAY_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'slipway');
  const folder = join(cache, `python-${digest}`);
  const python = join(folder, 'bin', 'python');
  mkdirSync(cache, { recursive: true });
  if (!isComplete(folder)) withLock(`${folder}.lock`, () => make(folder, requirements, shows));
  return python;
}

function isComplete(folder: string): boolean {
  return existsSync(join(folder, 'complete'));
}

function make(folder: string, requirements: string, shows: 'errors' | 'progress'): void {
  // Another process may have made it while this one waited.
  if (isComplete(folder)) return;
  rmSync(folder, { recursive: true, force: true });
  execFileSync('python3', ['-m', 'venv', folder]);
  const quiet = shows === 'errors' ? ['--quiet'] : [];
  const pip = [...quiet, '--disable-pip-version-check', '-r', requirements];
  execFileSync(join(folder, 'bin', 'python'), ['-m', 'pip', 'install', ...pip], { stdio: 'inherit' });
  mkdirSync(join(folder, 'incomplete'));
  renameSync(join(folder, 'incomplete'), join(folder, 'complete'));
}

/** Runs `work` while no other process of this machine does; a lock whose process is gone counts no more. */
function withLock(lock: string, work: () => void): void {
  while (!tryLock(lock)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOCK_POLL_MS);
  try {
    work();
  } finally {
    rmSync(lock, { force: true });
  }
}

function tryLock(lock: string): boolean {
  try {
    writeFileSync(lock, JSON.stringify(identify(process.pid)), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    removeIfDead(lock);
    return false;
  }
}

/** Moved aside first, so that two who find it dead do not remove each other's. */
function removeIfDead(lock: string): void {
  try {
    const text = readFileSync(lock, 'utf8');
    // Just made: its process has yet to write who it is.
    if (text === '') return;
    const holder = JSON.parse(text) as ProcessIdentity;
    if (isAlive(holder)) return;
    const aside = `${lock}.${holder.pid}`;
    renameSync(lock, aside);
    rmSync(aside, { force: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function hasPython(): boolean {
  try {
    execFileSync('python3', ['-c', 'import sys, venv; sys.exit(sys.version_info < (3, 11))'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
