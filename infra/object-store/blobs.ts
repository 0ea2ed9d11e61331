import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SlipwayError } from '../../workflows/domain/errors';
import type { Digest } from '../../workflows/domain/digest';
import { keys } from '../../workflows/domain/keys';
import { canonicalBytes, digestOf, digestOfFile } from './digest';
import { fileSystemError, isMissing } from './fs-errors';
import type { BlobStore, ObjectStore } from './port';

/**
 * Blobs over an object store, with a folder of local copies for programs that need a path. Throws, besides the store's
 * errors, NOT_FOUND for a digest that is not there and STORE_CORRUPT where the bytes are not what their name says.
 */
export function createBlobStore(store: ObjectStore, cacheFolder: string): BlobStore {
  const put = async (bytes: Uint8Array): Promise<Digest> => {
    const digest = digestOf(bytes);
    // Lost means that the same bytes are there already: the key is their digest.
    await store.create(keys.blob(digest), bytes);
    return digest;
  };
  const get = async (digest: Digest): Promise<Uint8Array> => {
    const bytes = await store.get(keys.blob(digest));
    if (!bytes) throw new SlipwayError('NOT_FOUND', `there is no blob ${digest}`);
    const actual = digestOf(bytes);
    if (actual !== digest)
      throw new SlipwayError('STORE_CORRUPT', `blob ${digest} holds bytes with the digest ${actual}`);
    return bytes;
  };
  return {
    put,
    get,
    putFile: async (path) => put(await readFile(path)),
    putJson: (value) => put(canonicalBytes(value)),
    getJson: async <T>(digest: Digest) => JSON.parse(Buffer.from(await get(digest)).toString('utf8')) as T,
    file: (digest) => localCopy(cacheFolder, digest, get),
  };
}

/** Two processes may make the same copy at once: each writes its own temporary file, and renaming is atomic. */
async function localCopy(
  folder: string,
  digest: Digest,
  get: (digest: Digest) => Promise<Uint8Array>,
): Promise<string> {
  const path = join(folder, digest.slice('sha256:'.length));
  if ((await digestOrNull(path)) === digest) return path;
  const bytes = await get(digest);
  const temporary = `${path}.${process.pid}-${randomBytes(6).toString('hex')}.tmp`;
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(temporary, bytes, { flag: 'wx' });
    await chmod(temporary, 0o444);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw fileSystemError(error, path);
  }
  return path;
}

async function digestOrNull(path: string): Promise<Digest | null> {
  try {
    return await digestOfFile(path);
  } catch (error) {
    if (isMissing(error)) return null;
    throw fileSystemError(error, path);
  }
}
