import { readFile } from 'node:fs/promises';
import { SlipwayError } from '../../workflows/domain/errors';
import type { Digest } from '../../workflows/domain/digest';
import { keys } from '../../workflows/domain/keys';
import { createBlobCache, type BlobCacheOptions } from './blob-cache';
import { canonicalBytes, digestOf } from './digest';
import type { BlobStore, ObjectStore } from './port';

/**
 * Blobs over an object store, with a folder of local copies for programs that need a path, bounded where `options` say so. Throws,
 * besides the store's errors, NOT_FOUND for a digest that is not there and STORE_CORRUPT where the bytes are not what their name says.
 */
export function createBlobStore(
  store: ObjectStore,
  cacheFolder: string,
  options: BlobCacheOptions = { maxBytes: Infinity },
): BlobStore {
  const cache = createBlobCache(cacheFolder, options);
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
    file: async (digest) => (await cache.find(digest)) ?? cache.keep(digest, await get(digest)),
  };
}
