import { appendFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { keys } from '../../../workflows/domain/keys';
import type { ObservationDocument } from '../../../workflows/domain/observation';
import { SlipwayError } from '../../../workflows/domain/errors';
import { GenerationCounts, MAX_WINDOW_ROWS } from '../../../workers/gateway/records/generation-counts';
import { hashed, hashKey, KeySet } from '../../../workers/gateway/records/key-set';
import { Observations } from '../../../workers/gateway/records/observations';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'slipway-counting-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const MODEL = 'a/b';
const published = new Map<string, ObservationDocument>();
let isStoreLost = false;
function incarnation(name: string, nowMs?: () => number): Observations {
  const put = async (key: string, bytes: Uint8Array): Promise<void> => {
    if (isStoreLost) throw new SlipwayError('STORE_UNAVAILABLE', 'lost');
    published.set(key, JSON.parse(Buffer.from(bytes).toString()) as ObservationDocument);
  };
  return new Observations({
    gateway: 'g',
    incarnation: name,
    folder,
    put,
    onProblem: () => undefined,
    ...(nowMs ? { nowMs } : {}),
  });
}
beforeEach(() => {
  published.clear();
  isStoreLost = false;
});

describe('key sets', () => {
  it('know exactly the keys that were added', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 0xffffffff })), {
          maxLength: 5_000,
        }),
        (pairs) => {
          const set = new KeySet();
          const reference = new Set<string>();
          const wrong = pairs.filter(([high, low]) => {
            const isNew = !reference.has(`${high} ${low}`);
            reference.add(`${high} ${low}`);
            return set.add(high, low) !== isNew;
          });
          expect(wrong).toEqual([]);
          expect(set.size).toBe(reference.size);
          expect(new Set([...set.entries()].map(([high, low]) => `${high} ${low}`))).toEqual(reference);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('count no new key beyond their capacity, and still know the old ones', () => {
    const set = new KeySet(3);
    expect([1, 2, 3, 4, 4, 1].map((low) => set.add(0, low))).toEqual([true, true, true, false, false, false]);
    expect([set.size, set.isFull]).toEqual([3, true]);
  });

  it('hash a million keys without two alike', () => {
    const set = new KeySet(2_000_000);
    for (let index = 0; index < 1_000_000; index += 1) {
      hashKey(`user-${index}`);
      set.add(hashed.high, hashed.low);
    }
    expect(set.size).toBe(1_000_000);
  });
});

describe('the counts of a generation', () => {
  it('coarsen their windows when there are many, and lose no request', () => {
    const counts = new GenerationCounts(MODEL, 1);
    for (let index = 0; index < 10_000; index += 1)
      counts.countAnswer(index % 2 === 0 ? 0 : 1, index % 5 === 0, false, index * 60_000, 1);
    const { windows, windowMs } = counts.document({ gateway: 'g', incarnation: 'i', updatedAt: '', lostAtMost: 0 });
    expect(windows.length).toBeLessThanOrEqual(MAX_WINDOW_ROWS);
    expect(windowMs! % 10_000).toBe(0);
    expect(windows.every(({ startMs }) => startMs % windowMs! === 0)).toBe(true);
    expect(windows.reduce((sum, { requests }) => sum + requests, 0)).toBe(10_000);
    expect(windows.reduce((sum, { errors }) => sum + errors, 0)).toBe(2_000);
  });

  it('are the same after a snapshot was taken up again', () => {
    const counts = new GenerationCounts(MODEL, 3);
    for (let index = 0; index < 50; index += 1)
      counts.countAnswer(index % 3 === 0 ? 1 : 0, index % 7 === 0, true, index * 9_000, 2);
    counts.countPair(-0.25, 450_000);
    const about = { gateway: 'g', incarnation: 'i', updatedAt: '', lostAtMost: 0 };
    expect(GenerationCounts.fromDocument(counts.document(about)).document(about)).toEqual(counts.document(about));
  });
});

describe('observations', () => {
  it('charge a key by its first request only, once a rollout over all its generations', async () => {
    const observations = incarnation('i1');
    const first = observations.open(MODEL, 1, 'rollout x');
    first.answer(1, true, 'ana', 1_000, 1);
    first.answer(1, false, 'ana', 2_000, 1);
    first.answer(1, false, 'ben', 3_000, 1);
    first.answer(1, true, 'ben', 4_000, 1);
    const second = observations.open(MODEL, 2, 'rollout x');
    second.answer(1, true, 'ana', 5_000, 1);
    second.pair('ana', 0.5, 5_000);
    second.pair('ana', 0.5, 9_000_000);
    const other = observations.open(MODEL, 3, 'rollout y');
    other.answer(1, true, 'ana', 6_000, 1);
    await observations.close();
    const armOf = (generation: number): unknown =>
      published.get(keys.observation(MODEL, generation, 'i1'))!.arms.challenger;
    expect(armOf(1)).toEqual({ requests: 4, errors: 2, keys: 2, errorKeys: 1, latencyMsSum: 4 });
    expect(armOf(2)).toEqual({ requests: 1, errors: 1, keys: 0, errorKeys: 0, latencyMsSum: 1 });
    expect(armOf(3)).toEqual({ requests: 1, errors: 1, keys: 1, errorKeys: 1, latencyMsSum: 1 });
    const { paired, pairedWindows } = published.get(keys.observation(MODEL, 2, 'i1'))!;
    expect([paired.keys, pairedWindows!.map(({ startMs, keys: count }) => [startMs, count])]).toEqual([1, [[0, 1]]]);
  });

  it('of a killed incarnation are published by the next one, whole, with a torn last record ignored', async () => {
    const killed = incarnation('i1');
    const observer = killed.open(MODEL, 1, 'rollout x');
    for (let index = 0; index < 5_000; index += 1)
      observer.answer(index % 2 === 0 ? 0 : 1, index % 10 === 0, `key-${index % 100}`, index, 1);
    observer.pair('key-1', 0.5, 5_000);
    killed.commit();
    observer.answer(0, false, 'never written', 1, 1);
    const log = readdirSync(join(folder, 'i1')).find((name) => name.startsWith('log-'))!;
    appendFileSync(join(folder, 'i1', log), Buffer.from([2, 0, 0, 1]));
    const next = incarnation('i2');
    const reopened = next.open(MODEL, 1, 'rollout x');
    expect(reopened.answer(1, false, 'key-1', 9_000, 1)).toBe(false);
    expect(reopened.answer(1, false, 'key-new', 9_000, 1)).toBe(true);
    await next.publish();
    const old = published.get(keys.observation(MODEL, 1, 'i1'))!;
    expect([
      old.lostAtMost,
      old.arms.champion!.requests,
      old.arms.champion!.errors,
      old.arms.challenger!.requests,
      old.paired.keys,
    ]).toEqual([0, 2_500, 500, 2_500, 1]);
    expect(old.pairedWindows).toEqual([{ startMs: 0, keys: 1, sumAbsDifference: 0.5, sumSquaredDifference: 0.25 }]);
    expect(published.get(keys.observation(MODEL, 1, 'i2'))!.arms.challenger).toMatchObject({ requests: 2, keys: 1 });
    expect(readdirSync(folder)).toEqual(['i2']);
    await killed.close();
    await next.close();
  });

  it('outlast a store that is gone through a clean end', async () => {
    isStoreLost = true;
    const ended = incarnation('i1');
    ended.open(MODEL, 1, 'rollout x').answer(0, false, 'ana', 1, 1);
    await ended.close();
    expect(published.size).toBe(0);
    isStoreLost = false;
    const next = incarnation('i2');
    await next.publish();
    expect(published.get(keys.observation(MODEL, 1, 'i1'))!.arms.champion!.requests).toBe(1);
    await next.close();
  });

  it('know a key of a rollout after two kills in a row', async () => {
    const first = incarnation('i1');
    first.open(MODEL, 1, 'rollout x').answer(1, false, 'ana', 1, 1);
    first.commit();
    const second = incarnation('i2');
    await second.publish();
    second.open(MODEL, 1, 'rollout x').answer(1, false, 'ben', 1, 1);
    second.commit();
    const third = incarnation('i3');
    await third.publish();
    const observer = third.open(MODEL, 2, 'rollout x');
    expect(['ana', 'ben', 'cid'].map((key) => observer.answer(1, false, key, 1, 1))).toEqual([false, false, true]);
    for (const each of [first, second, third]) await each.close();
  });

  it('let go of generations that are long over, and count the others on', async () => {
    const observations = incarnation('i1');
    const observers = [1, 2, 3].map((generation) => observations.open(MODEL, generation, `rollout ${generation}`));
    for (const observer of observers) observer.answer(0, false, 'ana', 1, 1);
    observers[0]!.retiredAtMs = -Infinity;
    await observations.publish();
    expect(observers.map(({ index }) => index)).toEqual([-1, 0, 1]);
    for (const observer of observers.slice(1)) observer.answer(0, false, 'ben', 2, 1);
    observations.commit();
    const next = incarnation('i2');
    await next.publish();
    expect(
      [1, 2, 3].map((generation) => published.get(keys.observation(MODEL, generation, 'i1'))!.arms.champion!.requests),
    ).toEqual([1, 2, 2]);
    await observations.close();
    await next.close();
  });

  it('go on for the newest generation where an older one was slow to open', async () => {
    const observations = incarnation('i1');
    const newest = observations.open(MODEL, 2, 'generation-2');
    const late = observations.open(MODEL, 1, 'generation-1');
    expect([newest.retiredAtMs, late.retiredAtMs === null]).toEqual([null, false]);
    await observations.close();
  });

  it('let go of a model that is retired, and take it up again', async () => {
    let nowMs = 0;
    const observations = incarnation('i1', () => nowMs);
    const observer = observations.open(MODEL, 1, 'generation-1');
    observer.answer(0, false, 'ana', 1, 1);
    observations.retire(MODEL);
    expect(observer.retiredAtMs).toBe(0);
    nowMs = 120_001;
    await observations.publish();
    expect(observer.index).toBe(-1);
    // What still comes is counted nowhere else.
    const other = observations.open('c/d', 1, 'generation-1');
    observer.answer(0, false, 'ben', 1, 1);
    other.answer(0, false, 'ben', 1, 1);
    await observations.close();
    expect(published.get(keys.observation('c/d', 1, 'i1'))!.arms.champion!.requests).toBe(1);
  });
});
