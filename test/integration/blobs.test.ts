import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { createBlobStore } from '../../infra/object-store/blobs';
import { digestOf } from '../../infra/object-store/digest';
import { createFsStore } from '../../infra/object-store/fs-store';
import type { BlobStore, ObjectStore } from '../../infra/object-store/port';
import { keys } from '../../workflows/domain/keys';
import { temporaryFolder } from '../support/temporary-folder';

describe('the blob store', () => {
  const folder = temporaryFolder('blobs');
  const cache = join(folder.path, 'cache');
  let store: ObjectStore;
  let blobs: BlobStore;

  beforeAll(() => {
    store = createFsStore(join(folder.path, 'store'));
    blobs = createBlobStore(store, cache);
  });
  afterAll(() => folder.remove());

  it('gives back any bytes under their digest, however often they are put', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        const [first, second] = [await blobs.put(bytes), await blobs.put(bytes)];
        expect([first, second]).toEqual([digestOf(bytes), digestOf(bytes)]);
        expect(Buffer.from(await blobs.get(first)).equals(Buffer.from(bytes))).toBe(true);
      }),
      { numRuns: 25, seed: 5 },
    );
  });

  it('gives equal values one digest, whatever the order of their keys', async () => {
    const digest = await blobs.putJson({ b: [1, 'é'], a: null });

    expect(await blobs.putJson({ a: null, b: [1, 'é'] })).toBe(digest);
    expect(await blobs.getJson(digest)).toEqual({ a: null, b: [1, 'é'] });
  });

  it('finds one changed byte at every way of reading', async () => {
    const digest = await blobs.put(Buffer.from('a model'));
    await store.put(keys.blob(digest), Buffer.from('a mOdel'));

    for (const read of [blobs.get(digest), blobs.getJson(digest), blobs.file(digest)]) {
      await expect(read).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    }
    expect(existsSync(join(cache, digest.slice('sha256:'.length)))).toBe(false);
  });

  it('says that a blob is not there', async () => {
    const digest = digestOf(Buffer.from('never put'));

    await expect(blobs.get(digest)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(blobs.file(digest)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('gives a read-only local file, the same one each time, and takes a file', async () => {
    writeFileSync(join(folder.path, 'source'), 'bytes of a file');
    const digest = await blobs.putFile(join(folder.path, 'source'));

    const paths = await Promise.all([blobs.file(digest), blobs.file(digest), blobs.file(digest)]);

    expect(new Set(paths).size).toBe(1);
    expect(readFileSync(paths[0], 'utf8')).toBe('bytes of a file');
    expect(statSync(paths[0]).mode & 0o777).toBe(0o444);
    expect(readdirSync(cache).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('replaces a local file that was changed, without asking for anything', async () => {
    const digest = await blobs.put(Buffer.from('original'));
    const path = await blobs.file(digest);
    chmodSync(path, 0o644);
    writeFileSync(path, 'tampered');

    expect(readFileSync(await blobs.file(digest), 'utf8')).toBe('original');
  });
});
