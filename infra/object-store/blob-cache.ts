import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../workflows/domain/digest';
import { digestOfFile } from './digest';
import { fileSystemError, hasCode, isMissing } from './fs-errors';

export interface BlobCacheOptions {
  /** Above this, copies are removed, the longest unused first. A copy that was asked for in the last hour stays in any case. */
  readonly maxBytes: number;
}

/** A folder of local copies of blobs, which processes of one machine may share. */
export interface BlobCache {
  /** Path of the copy, whose bytes were read just now; null where there is none or it was changed. */
  find(digest: Digest): Promise<string | null>;
  /** Keeps verified bytes, and makes room for them. */
  keep(digest: Digest, bytes: Uint8Array): Promise<string>;
}

/**
 * Whoever asked for a path opens it later, a child of a job up to half an hour later. What is open already survives the removal of its
 * name. A copy that is gone all the same (a process was stopped between its look and its removal) is fetched again by the next attempt.
 */
const IN_USE_MS = 3_600_000;
const COPY = /^[0-9a-f]{64}$/;
const UNFINISHED = /^[0-9a-f]{64}\..+\.tmp$/;

/** When a copy was last asked for is its modification time, which all processes see and a kill cannot lose. */
export function createBlobCache(folder: string, { maxBytes }: BlobCacheOptions): BlobCache {
  const pathOf = (digest: Digest): string => join(folder, digest.slice('sha256:'.length));
  return {
    find: (digest) => guarded(pathOf(digest), (path) => findCopy(path, digest)),
    keep: (digest, bytes) =>
      guarded(pathOf(digest), async (path) => {
        await write(folder, path, bytes);
        await evict(folder, maxBytes);
        return path;
      }),
  };
}

async function findCopy(path: string, digest: Digest): Promise<string | null> {
  try {
    // Marked before it is read: from now on nobody removes it for an hour.
    await markUsed(path);
    return (await digestOfFile(path)) === digest ? path : null;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

async function markUsed(path: string): Promise<void> {
  const now = new Date();
  try {
    await utimes(path, now, now);
  } catch (error) {
    // Another user's copy serves as well; only its turn to be removed is not known.
    if (!isForbidden(error)) throw error;
  }
}

/** Two processes may make the same copy at once: each writes its own temporary file, and renaming is atomic. */
async function write(folder: string, path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.${process.pid}-${randomBytes(6).toString('hex')}.tmp`;
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(temporary, bytes, { flag: 'wx' });
    await chmod(temporary, 0o444);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

interface Found {
  readonly path: string;
  readonly bytes: number;
  readonly usedMs: number;
}

/** Several processes may do this at once: they take the same order, and what is gone already is no error. */
async function evict(folder: string, maxBytes: number): Promise<void> {
  const oldestInUseMs = Date.now() - IN_USE_MS;
  const names = await readdir(folder);
  const unfinished = await statAll(folder, names, UNFINISHED);
  // Their writers were killed: a blob is written in less than an hour.
  for (const left of unfinished) if (left.usedMs < oldestInUseMs) await remove(left.path);
  const copies = (await statAll(folder, names, COPY)).sort((a, b) => a.usedMs - b.usedMs);
  let total = copies.reduce((sum, { bytes }) => sum + bytes, 0);
  for (const copy of copies) {
    if (total <= maxBytes || copy.usedMs >= oldestInUseMs) return;
    const now = await statOrNull(copy.path);
    if (now && now.usedMs >= oldestInUseMs) continue; // Somebody has asked for it since.
    await remove(copy.path);
    total -= copy.bytes;
  }
}

async function statAll(folder: string, names: readonly string[], shape: RegExp): Promise<Found[]> {
  const paths = names.filter((name) => shape.test(name)).map((name) => join(folder, name));
  return (await Promise.all(paths.map(statOrNull))).filter((found) => found !== null);
}

async function statOrNull(path: string): Promise<Found | null> {
  try {
    const { size, mtimeMs } = await stat(path);
    return { path, bytes: size, usedMs: mtimeMs };
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

async function remove(path: string): Promise<void> {
  try {
    await rm(path, { force: true });
  } catch (error) {
    // Another user's file is theirs to remove; no read fails for it.
    if (!isForbidden(error)) throw error;
  }
}

function isForbidden(error: unknown): boolean {
  return hasCode(error, 'EPERM', 'EACCES', 'EROFS');
}

async function guarded<T>(path: string, work: (path: string) => Promise<T>): Promise<T> {
  try {
    return await work(path);
  } catch (error) {
    throw fileSystemError(error, path);
  }
}
