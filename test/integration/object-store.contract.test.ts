import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { createFsStore } from '../../infra/object-store/fs-store';
import { openStore } from '../../infra/object-store/open-store';
import type { ObjectStore } from '../../infra/object-store/port';
import { raceWriters, writeAndKill } from '../support/spawn-writer';
import { startFsBackend, startS3Backend, type StoreBackend, unfinishedObjects } from '../support/store-backends';

const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString('utf8'));
const bytesOf = (content: string): Uint8Array => Buffer.from(content, 'utf8');
const byUtf8 = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** Names where order by UTF-16, by UTF-8 and by folder differ, and characters that URLs and file systems treat specially. */
const awkwardKeys = [
  'a.b',
  'a/b!',
  'a/b.c',
  'a/b/c',
  'a/b-',
  'a b/ü',
  'a/\u{1f600}',
  'a/\uffee',
  'a+b',
  'a%41/x',
  'a=b/dt=1',
  'B',
  'z/1',
];

describe.each([
  ['file system', startFsBackend],
  ['S3', startS3Backend],
])('the object store on %s', (kind, start) => {
  let backend: StoreBackend;
  let store: ObjectStore;

  beforeAll(async () => {
    backend = await start();
  }, 600_000);
  afterAll(async () => backend.stop());
  beforeEach(() => {
    store = openStore(backend.fresh());
  });

  it('gives null for an object that is not there, and deleting it is no error', async () => {
    await store.delete('no/such');

    expect(await store.get('no/such')).toBeNull();
    expect(await store.range('no/such', 0, 1)).toBeNull();
    expect(await store.list('')).toEqual([]);
  });

  it('creates an object once, and tells the second creator that it lost', async () => {
    expect(await store.create('a/b', bytesOf('first'))).toBe(true);
    expect(await store.create('a/b', bytesOf('second'))).toBe(false);
    expect(await store.create('a/b', bytesOf('first'))).toBe(false);

    expect(text(await store.get('a/b'))).toBe('first');
  });

  it('can create again what was deleted', async () => {
    await store.create('a', bytesOf('1'));
    await store.delete('a');

    expect(await store.get('a')).toBeNull();
    expect(await store.create('a', bytesOf('2'))).toBe(true);
  });

  it('replaces with put, also an object that was created', async () => {
    await store.create('a', bytesOf('created'));
    await store.put('a', bytesOf('put'));
    await store.put('a', new Uint8Array(0));

    expect(text(await store.get('a'))).toBe('');
  });

  it('reads ranges as the bytes that are there, shorter at the end and empty past it', async () => {
    const content = Buffer.from(Array.from({ length: 300 }, (_, index) => index % 256));
    await store.put('r', content);
    await fc.assert(
      fc.asyncProperty(fc.nat(400), fc.nat(400), async (from, length) => {
        expect(Buffer.from((await store.range('r', from, length)) ?? [])).toEqual(
          content.subarray(from, from + length),
        );
      }),
      { numRuns: 25, seed: 7 },
    );
  });

  it('lists by UTF-8 bytes, below a prefix, after a key and up to a limit', async () => {
    for (const key of awkwardKeys) await store.put(key, bytesOf(key));
    const sorted = [...awkwardKeys].sort(byUtf8);

    expect(await store.list('')).toEqual(sorted);
    expect(await store.list('a/')).toEqual(sorted.filter((key) => key.startsWith('a/')));
    expect(await store.list('a/b')).toEqual(sorted.filter((key) => key.startsWith('a/b')));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...awkwardKeys, 'a/', 'a/b/', 'zz'),
        fc.integer({ min: 1, max: 5 }),
        async (after, limit) => {
          const expected = sorted.filter((key) => byUtf8(key, after) > 0).slice(0, limit);
          expect(await store.list('', { after, limit })).toEqual(expected);
        },
      ),
      { numRuns: 30, seed: 7 },
    );
  });

  it('lists at most 1,000 keys unless told otherwise, and goes on after the last', async () => {
    const names = Array.from({ length: 1_040 }, (_, index) => `many/${String(index).padStart(5, '0')}`);
    for (let at = 0; at < names.length; at += 40) {
      await Promise.all(names.slice(at, at + 40).map((key) => store.put(key, bytesOf(key))));
    }

    const first = await store.list('many/');
    expect(first).toEqual(names.slice(0, 1_000));
    expect(await store.list('many/', { after: first.at(-1)! })).toEqual(names.slice(1_000));
    expect(await store.list('many/', { limit: 2_000 })).toEqual(names);
  }, 120_000);

  it('behaves as a map under any sequence of operations', async () => {
    const operation = fc.record({
      kind: fc.constantFrom('create', 'put', 'delete', 'get'),
      key: fc.constantFrom(...awkwardKeys.slice(0, 6)),
      body: fc.uint8Array({ maxLength: 64 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 25 }), async (operations) => {
        const fresh = openStore(backend.fresh());
        const model = new Map<string, string>();
        for (const { kind: what, key, body } of operations) {
          const value = Buffer.from(body).toString('base64');
          if (what === 'create') {
            expect(await fresh.create(key, body)).toBe(!model.has(key));
            if (!model.has(key)) model.set(key, value);
          } else if (what === 'put') {
            await fresh.put(key, body);
            model.set(key, value);
          } else if (what === 'delete') {
            await fresh.delete(key);
            model.delete(key);
          }
          const found = await fresh.get(key);
          expect(found === null ? undefined : Buffer.from(found).toString('base64')).toBe(model.get(key));
        }
        expect(await fresh.list('')).toEqual([...model.keys()].sort(byUtf8));
      }),
      { numRuns: 20, seed: 11 },
    );
  }, 120_000);

  it.each([
    ['empty', ''],
    ['absolute', '/a'],
    ['with an empty segment', 'a//b'],
    ['a folder', 'a/'],
    ['above the root', '../a'],
    ['through a parent', 'a/../b'],
    ['through itself', './a'],
    ['with a back-slash', 'a\\b'],
    ['with a line break', 'a\nb'],
    ['with a NUL', 'a/\u0000'],
    ['with half a surrogate pair', '\ud800'],
    ['in the folder of unfinished objects', '.tmp/x'],
    ['with a segment too long for a file name', 'x'.repeat(300)],
    ['too long for S3', 'y/y'.repeat(500)],
  ])('refuses a key that is %s', async (_, key) => {
    for (const refused of [
      store.get(key),
      store.create(key, bytesOf('x')),
      store.put(key, bytesOf('x')),
      store.delete(key),
    ]) {
      await expect(refused).rejects.toMatchObject({ code: 'INTERNAL' });
    }
  });

  it('lets exactly one of 32 writers in four processes win each key', async () => {
    const config = backend.fresh();
    const keys = Array.from({ length: 40 }, (_, index) => `race/${index}`);
    const tasks = ['p', 'q', 'r', 's'].map((name) => ({ kind: 'race', name, writers: 8, keys }) as const);
    const wins = await raceWriters(config, tasks);

    expect(wins.map(([key]) => key).sort()).toEqual([...keys].sort());
    const reader = openStore(config);
    for (const [key, writer] of wins) expect(text(await reader.get(key))).toBe(writer);
    expect(new Set(wins.map(([, writer]) => writer[0])).size).toBeGreaterThan(1);
    expect(unfinishedObjects(config)).toEqual([]);
  }, 120_000);

  it('shows only whole objects after writers were SIGKILLed at random moments', async () => {
    const config = backend.fresh();
    const bytes = 3 << 20;
    const momentsMs = fc.sample(fc.integer({ min: 0, max: 150 }), { numRuns: 8, seed: 3 });
    for (const forMs of momentsMs) await writeAndKill(config, { kind: 'endless', prefix: 'torn/', bytes }, forMs);
    const reader = openStore(config);
    const keys = await reader.list('');

    expect(keys.length).toBeGreaterThan(momentsMs.length);
    expect(keys.every((key) => key.startsWith('torn/'))).toBe(true);
    for (const key of keys) {
      const found = Buffer.from((await reader.get(key))!);
      expect(found.equals(Buffer.alloc(bytes, found[0]))).toBe(true);
    }
    if (kind === 'S3' || config.kind !== 'fs') return;
    expect(unfinishedObjects(config).length).toBeGreaterThan(0);
    await delay(20);
    await createFsStore(config.root, { temporaryMaxAgeMs: 10 }).put('torn/after', bytesOf('x'));
    expect(unfinishedObjects(config)).toEqual([]);
  }, 120_000);
});
