import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileSystemError, isMissing, hasCode } from './fs-errors';
import { listKeys } from './fs-list';
import { assertKey, assertPrefix, TEMPORARY_FOLDER } from './key-rules';
import type { ObjectStore } from './port';

export interface FsStoreOptions {
  /** Unfinished objects older than this are removed; their writer is dead or will be told to try again. Default one hour. */
  readonly temporaryMaxAgeMs?: number;
}

const oneHourMs = 3_600_000;
/** Folders known to be on disk are remembered up to this number, then found out anew. */
const rememberedFolders = 10_000;

/**
 * Object store on a local file system with hard links. An object becomes visible only when it is whole and on disk:
 * written under a temporary name, flushed, then linked (`create`) or renamed (`put`) to its key, then the folder is flushed.
 * Empty folders stay, since removing one would race with a writer. A key cannot also be a folder of other keys.
 */
export function createFsStore(rootFolder: string, options: FsStoreOptions = {}): ObjectStore {
  const root = resolve(rootFolder);
  const writer = createWriter(root, options.temporaryMaxAgeMs ?? oneHourMs);
  const pathOf = (key: string): string => {
    assertKey(key);
    return join(root, key);
  };
  return {
    get: async (key) => readOrNull(pathOf(key), (path) => readFile(path)),
    range: async (key, start, length) => readOrNull(pathOf(key), (path) => readRange(path, start, length)),
    list: async (prefix, { after, limit = 1000 } = {}) => {
      assertPrefix(prefix);
      return guarded(root, () => listKeys(root, prefix, after, limit));
    },
    create: async (key, bytes) => writer.write(pathOf(key), bytes, linkNew),
    put: async (key, bytes) => {
      await writer.write(pathOf(key), bytes, renameOver);
    },
    delete: async (key) => removeObject(pathOf(key)),
  };
}

/** Moves a finished temporary file to its key; false where `create` found somebody else's object. */
type Publish = (temporary: string, target: string) => Promise<boolean>;

async function linkNew(temporary: string, target: string): Promise<boolean> {
  try {
    await link(temporary, target);
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
    await refuseFolder(target);
    return false;
  } finally {
    await rm(temporary, { force: true });
  }
  return true;
}

async function renameOver(temporary: string, target: string): Promise<boolean> {
  await rename(temporary, target);
  return true;
}

/** EEXIST of a folder is no lost race: the key would never be readable. */
async function refuseFolder(target: string): Promise<void> {
  const found = await stat(target).catch(() => undefined);
  if (found?.isDirectory())
    throw Object.assign(new Error(`EISDIR: ${target} is a folder of other keys`), { code: 'EISDIR' });
}

function createWriter(root: string, temporaryMaxAgeMs: number) {
  const temporaryFolder = join(root, TEMPORARY_FOLDER);
  const durable = new Set<string>();
  let nextSweepMs = 0;

  const ensureFolder = async (folder: string): Promise<void> => {
    if (durable.has(folder)) return;
    await mkdir(folder, { recursive: true });
    await flushChain(root, folder);
    if (durable.size >= rememberedFolders) durable.clear();
    durable.add(folder);
  };

  const sweepNow = async (): Promise<void> => {
    if (Date.now() < nextSweepMs) return;
    nextSweepMs = Date.now() + temporaryMaxAgeMs / 2;
    await sweepTemporary(temporaryFolder, temporaryMaxAgeMs);
  };

  const attempt = async (target: string, bytes: Uint8Array, publish: Publish): Promise<boolean> => {
    await ensureFolder(temporaryFolder);
    await ensureFolder(dirname(target));
    await sweepNow();
    const temporary = join(temporaryFolder, `${process.pid}-${randomBytes(8).toString('hex')}`);
    try {
      await writeFlushed(temporary, bytes);
      const won = await publish(temporary, target);
      // Also after a lost race: the caller will act on the object that is there, so it must not vanish in a power cut.
      await flushFolder(dirname(target));
      return won;
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw error;
    }
  };

  return {
    write: (target: string, bytes: Uint8Array, publish: Publish): Promise<boolean> =>
      guarded(target, async () => {
        try {
          return await attempt(target, bytes, publish);
        } catch (error) {
          // Somebody removed a folder that we remember (a store that was emptied under us): make it again, once.
          if (!isMissing(error)) throw error;
          durable.clear();
          return attempt(target, bytes, publish);
        }
      }),
  };
}

async function writeFlushed(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function flushFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Flushes every folder from the new one up to the root's parent, where a name in the chain may be new. */
async function flushChain(root: string, folder: string): Promise<void> {
  for (let at = folder; ; at = dirname(at)) {
    await flushFolder(at);
    if (at === root || at === dirname(at)) break;
  }
  // The parent may be a system folder that we may not open; then the root itself was there before us.
  await flushFolder(dirname(root)).catch(() => undefined);
}

async function sweepTemporary(folder: string, maxAgeMs: number): Promise<void> {
  const oldest = Date.now() - maxAgeMs;
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined);
    if (found && found.mtimeMs < oldest) await rm(path, { force: true }).catch(() => undefined);
  }
}

async function readRange(path: string, start: number, length: number): Promise<Uint8Array> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const bytes = Buffer.alloc(Math.max(0, Math.min(length, size - start)));
    let filled = 0;
    while (filled < bytes.length) {
      const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, start + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return bytes.subarray(0, filled);
  } finally {
    await file.close();
  }
}

async function removeObject(path: string): Promise<void> {
  await guarded(path, async () => {
    try {
      await unlink(path);
      await flushFolder(dirname(path));
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  });
}

async function readOrNull(path: string, read: (path: string) => Promise<Uint8Array>): Promise<Uint8Array | null> {
  return guarded(path, async () => {
    try {
      return await read(path);
    } catch (error) {
      if (isMissing(error) || hasCode(error, 'EISDIR')) return null;
      throw error;
    }
  });
}

async function guarded<T>(path: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    throw fileSystemError(error, path);
  }
}
