import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Digest } from '../../../workflows/domain/digest';
import type { ReleaseManifest, ReleaseRef } from '../../../workflows/domain/release';
import { DEFAULT_SERVING } from '../../../workflows/domain/serving';
import { modelMemoryLimit } from '../../../workers/gateway/routes/memory-limit';
import { DEFAULT_LIMITS } from '../../../workers/gateway/inference/protocol';
import { ReleaseCache } from '../../../workers/gateway/routes/release-cache';

const MIB = 2 ** 20;
let folder: string;
let nowMs: number;
let open: Set<string>;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-model-memory-'));
  writeFileSync(join(folder, 'samples'), JSON.stringify({ rows: [], outputs: [] }));
  nowMs = 0;
  open = new Set();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function refOf(version: number): ReleaseRef {
  return { model: `a/m${version}`, version, digest: digestOf(version) };
}

function digestOf(version: number): Digest {
  return `sha256:${String(version).padStart(64, '0')}`;
}

/** Version n needs n * 10 MiB in each thread. What is open is told by paths, which sessions are opened from. */
function cacheOf(memoryMb: number, threads = 1): ReleaseCache {
  const sessions: string[] = [];
  const executor = {
    load: async (path: string) => {
      open.add(path);
      return sessions.push(path) - 1;
    },
    unload: (session: number) => open.delete(sessions[session]!),
  };
  return new ReleaseCache({
    registry: {
      verify: async (ref: ReleaseRef) =>
        ({
          serving: DEFAULT_SERVING,
          onnx: ref.digest,
          onnxBytes: MIB,
          samples: 'sha256:samples',
          signature: { inputs: [] },
        }) as unknown as ReleaseManifest,
    },
    blobs: {
      file: async (digest: Digest) =>
        digest === 'sha256:samples' ? join(folder, 'samples') : `v${Number(digest.slice(7))}`,
    },
    trust: { policy: {} as never },
    inspections: { check: async (path: string) => ({ memoryBytes: Number(path.slice(1)) * 10 * MIB }) },
    executor: executor as never,
    endpoints: { open: () => Promise.reject(new Error('no endpoint here')) },
    limits: DEFAULT_LIMITS,
    memoryBytes: memoryMb * MIB,
    threads,
    nowMs: () => nowMs,
  });
}

function use(cache: ReleaseCache, served: readonly number[], warm: readonly number[] = []): void {
  cache.use({ served: new Set(served.map(digestOf)), warm: new Set(warm.map(digestOf)) });
}

function outcomeOf(loading: Promise<unknown>): Promise<string> {
  return loading.then(
    () => 'open',
    (error: { code: string; message: string }) => error.code,
  );
}

/** Sessions are unloaded one turn after a release is dropped. */
async function openNow(): Promise<string[]> {
  await new Promise((resolve) => setImmediate(resolve));
  return [...open].sort();
}

describe('the memory of open models', () => {
  it('is accounted by model, once for each thread', async () => {
    const cache = cacheOf(1_000, 2);
    expect((await cache.load(refOf(3))).memoryBytes).toBe(60 * MIB);
    await cache.load(refOf(1));
    expect([...cache.memoryByModel()]).toEqual([
      ['a/m3', 60 * MIB],
      ['a/m1', 20 * MIB],
    ]);
  });

  it('refuses a model that does not fit beside what is served, before it is opened', async () => {
    const cache = cacheOf(50);
    await cache.load(refOf(3));
    use(cache, [3]);
    nowMs = 1_000_000;
    await expect(cache.load(refOf(4))).rejects.toMatchObject({
      code: 'MODEL_TOO_LARGE',
      message: 'version 4 of a/m4 needs about 40 MiB; 30 of 50 MiB are in use',
    });
    expect(await openNow()).toEqual(['v3']);
    expect(await outcomeOf(cache.load(refOf(2)))).toBe('open');
  });

  it('is made by closing what nobody used lately, previous champions last, and no more than is needed', async () => {
    const cache = cacheOf(100);
    for (const version of [1, 2, 3, 4]) await cache.load(refOf(version));
    use(cache, [4]);
    nowMs = 50_000;
    use(cache, [4, 3], [1]);
    nowMs = 100_000;
    use(cache, [4], [1]);
    await cache.load({ ...refOf(1), version: 5, digest: digestOf(2_000) }).catch(() => undefined);
    expect(await openNow()).toEqual(['v1', 'v2', 'v3', 'v4']);
    expect(await outcomeOf(cache.load(refOf(5)))).toBe('open');
    expect(await openNow()).toEqual(['v1', 'v4', 'v5']);
  });

  it('is not taken from what requests may still wait for', async () => {
    const cache = cacheOf(30);
    use(cache, [2]);
    await cache.load(refOf(2));
    use(cache, [2]);
    use(cache, [], [2]);
    nowMs = 30_000;
    expect(await outcomeOf(cache.load(refOf(3)))).toBe('MODEL_TOO_LARGE');
    nowMs = 36_000;
    expect(await outcomeOf(cache.load(refOf(3)))).toBe('open');
    expect(await openNow()).toEqual(['v3']);
  });
});

describe('the memory that models may take', () => {
  it('is what was configured, or a share of what the process may use', () => {
    expect(modelMemoryLimit({ memoryBytes: 5 })).toBe(5);
    const share = modelMemoryLimit({});
    expect(share).toBeGreaterThan(64 * MIB);
    expect(share).toBeLessThan(2 ** 44);
  });
});
