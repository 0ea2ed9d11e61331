import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { hasCode } from '../object-store/fs-errors';

export interface FileLockOptions {
  /** Called about once a second while another process holds the lock. */
  readonly onWait?: (holder: LockHolder) => void;
  readonly pollMs?: number;
  /** A holder that has not touched its lock for this long is taken for dead. */
  readonly staleMs?: number;
}

export interface LockHolder {
  readonly pid: number;
  readonly host: string;
  readonly token: string;
}

/**
 * Runs `work` while this process holds the lock file. A killed holder is noticed at once on the same machine (its pid is
 * gone), elsewhere when it has not touched the file for `staleMs`. The lock saves double work; whoever uses it must publish
 * results by an atomic rename, because a holder that was stopped for longer than `staleMs` may come back.
 */
export async function withFileLock<T>(path: string, work: () => Promise<T>, options: FileLockOptions = {}): Promise<T> {
  const { pollMs = 1_000, staleMs = 30_000, onWait } = options;
  const holder: LockHolder = { pid: process.pid, host: hostname(), token: randomBytes(8).toString('hex') };
  await mkdir(dirname(path), { recursive: true });
  while (!(await tryAcquire(path, holder))) {
    const other = await readHolder(path);
    if (!other) continue;
    if (await isDead(path, other, staleMs)) await takeAway(path, other, holder.token);
    else {
      onWait?.(other);
      await delay(pollMs);
    }
  }
  const touch = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => undefined), staleMs / 5);
  try {
    return await work();
  } finally {
    clearInterval(touch);
    await takeAway(path, holder, `${holder.token}-done`);
  }
}

/** Linking a finished file makes lock and content appear at once, so that no reader meets an empty lock. */
async function tryAcquire(path: string, holder: LockHolder): Promise<boolean> {
  const draft = `${path}.${holder.token}`;
  await writeFile(draft, JSON.stringify(holder));
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

async function readHolder(path: string): Promise<LockHolder | null> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as LockHolder;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    throw error;
  }
}

async function isDead(path: string, holder: LockHolder, staleMs: number): Promise<boolean> {
  if (holder.host === hostname() && !isAlive(holder.pid)) return true;
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > staleMs;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return hasCode(error, 'EPERM');
  }
}

/** Removes the lock only if it is still `expected`'s: it is moved aside, looked at, and put back where it is another's. */
async function takeAway(path: string, expected: LockHolder, suffix: string): Promise<void> {
  const aside = `${path}.${suffix}-aside`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return;
    throw error;
  }
  const moved = await readHolder(aside);
  if (moved && moved.token !== expected.token) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}
