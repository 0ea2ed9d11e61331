import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { parseConfig } from '../../infra/config/config';
import { createBlobStore } from '../../infra/object-store/blobs';
import { createFsStore } from '../../infra/object-store/fs-store';
import type { BlobStore, ObjectStore } from '../../infra/object-store/port';
import { nodeEntry } from '../../infra/process/node-entry';
import type { Digest } from '../../workflows/domain/digest';
import { temporaryFolder } from '../support/temporary-folder';

const HOUR_MS = 3_600_000;
const folder = temporaryFolder('blob-cache');
const store: ObjectStore = createFsStore(join(folder.path, 'store'));
let cache: string;
let cases = 0;
beforeEach(() => {
  cache = join(folder.path, `cache-${(cases += 1)}`);
  mkdirSync(cache);
});
afterAll(() => folder.remove());

const open = (maxBytes: number): BlobStore => createBlobStore(store, cache, { maxBytes });
const put = (letter: string, bytes = 100): Promise<Digest> => open(0).put(Buffer.from(letter.repeat(bytes)));
const copyOf = (digest: Digest): string => join(cache, digest.slice('sha256:'.length));
const copies = (): string[] => readdirSync(cache).sort();
const named = (...digests: Digest[]): string[] => digests.map((digest) => digest.slice('sha256:'.length)).sort();

function makeUnusedFor(path: string, hours: number): void {
  const then = new Date(Date.now() - hours * HOUR_MS);
  utimesSync(path, then, then);
}

describe('the folder of local copies', () => {
  it('stays below its bound: the longest unused go first, and come back when they are asked for', async () => {
    const blobs = open(250);
    const [a, b, c] = [await put('a'), await put('b'), await put('c')];
    for (const digest of [a, b]) await blobs.file(digest);
    makeUnusedFor(copyOf(a), 3);
    makeUnusedFor(copyOf(b), 2);
    await blobs.file(c);
    expect(copies()).toEqual(named(b, c));
    expect(readFileSync(await blobs.file(a), 'utf8')).toBe('a'.repeat(100));
    expect(copies()).toEqual(named(a, c));
  });

  it('counts a copy as used when it is asked for, by any process', async () => {
    const [a, b, c] = [await put('a'), await put('b'), await put('c')];
    for (const digest of [a, b]) makeUnusedFor(await open(250).file(digest), digest === a ? 3 : 2);
    await open(250).file(a);
    await open(250).file(c);
    expect(copies()).toEqual(named(a, c));
  });

  it('keeps what was asked for in the last hour, though it is above its bound then', async () => {
    const digests = [await put('a'), await put('b'), await put('c')];
    for (const digest of digests) await open(1).file(digest);
    expect(copies()).toEqual(named(...digests));
  });

  it('takes no byte from a program that has a copy open', async () => {
    const [a, b] = [await put('a'), await put('b')];
    const path = await open(100).file(a);
    const descriptor = openSync(path, 'r');
    makeUnusedFor(path, 2);
    await open(100).file(b);
    expect(copies()).toEqual(named(b));
    expect(readFileSync(descriptor, 'utf8')).toBe('a'.repeat(100));
    closeSync(descriptor);
  });

  it('removes what killed writers left, once it is old, and nothing that is no copy', async () => {
    const [a, b] = [await put('a'), await put('b')];
    for (const name of [`${copyOf(a)}.4711-abc.tmp`, `${copyOf(a)}.4712-abc.tmp`, join(cache, 'README')])
      writeFileSync(name, 'half');
    makeUnusedFor(`${copyOf(a)}.4711-abc.tmp`, 2);
    makeUnusedFor(join(cache, 'README'), 2);
    await open(1).file(b);
    expect(copies()).toEqual([...named(b), `${named(a)[0]}.4712-abc.tmp`, 'README'].sort());
  });

  it('gives no torn or changed byte to any of several processes that fetch and remove, of which one is killed', async () => {
    const digests = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((letter) => put(letter, 200_000)));
    const [node, ...entry] = nodeEntry(join(__dirname, '..', 'support', 'blob-reader.ts'));
    const start = (rounds: number): ChildProcess =>
      spawn(node!, [...entry, join(folder.path, 'store'), cache, '250000', String(rounds), ...digests], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
    const readers = [start(40), start(40)];
    const killed = start(1_000_000);
    // Not what is being written: that would say that its writer has been gone for an hour.
    const age = (): void => copies().forEach((name) => name.endsWith('.tmp') || tryToAge(join(cache, name)));
    const aging = setInterval(age, 5);
    try {
      const gone = once(killed, 'exit');
      killed.stdout!.once('data', () => killed.kill('SIGKILL'));
      const codes = await Promise.all(readers.map(async (reader) => (await once(reader, 'exit'))[0] as number));
      expect(codes).toEqual([0, 0]);
      expect((await gone)[1]).toBe('SIGKILL');
    } finally {
      clearInterval(aging);
      for (const child of [...readers, killed]) child.kill('SIGKILL');
    }
    for (const digest of digests) expect(statSync(await open(250_000).file(digest)).size).toBe(200_000);
  }, 120_000);
});

/** Gone meanwhile, perhaps. */
function tryToAge(path: string): boolean {
  try {
    makeUnusedFor(path, 2);
    return true;
  } catch {
    return false;
  }
}

it('is bounded by a setting, 20 GiB by default', () => {
  expect(parseConfig({}).blobCacheBytes).toBe(20 * 2 ** 30);
  expect(parseConfig({ SLIPWAY_BLOB_CACHE_GIB: '0.5' }).blobCacheBytes).toBe(2 ** 29);
  expect(() => parseConfig({ SLIPWAY_BLOB_CACHE_GIB: '0' })).toThrow('SLIPWAY_BLOB_CACHE_GIB');
});
