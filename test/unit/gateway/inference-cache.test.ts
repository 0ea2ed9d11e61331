import fc from 'fast-check';
import type { Column } from '../../../workers/gateway/inference/conversion';
import { InferenceCache } from '../../../workers/gateway/inference/inference-cache';

const cacheOf = (entries: number): InferenceCache => new InferenceCache({ ttlMs: 1_000, entries });
const scores = (score: number): Float32Array => Float32Array.of(score);

describe('the inference cache', () => {
  it('names inputs so that different ones never have the same name', () => {
    const cache = cacheOf(10);
    const value = fc.oneof(
      fc.string({ maxLength: 3 }),
      fc.constantFrom('', '1', 'n1', 's1:1', '1s0:'),
      fc.double(),
      fc.constantFrom(0, -0, 1, NaN, 11),
    );
    const inputs = fc.array(fc.array(value, { minLength: 2, maxLength: 2 }), { minLength: 1, maxLength: 3 });
    const same = (a: unknown[][], b: unknown[][]): boolean =>
      a.length === b.length && a.every((column, at) => column.every((own, row) => Object.is(own, b[at]![row])));
    fc.assert(
      fc.property(inputs, inputs, (a, b) => {
        expect(cache.keyOf(a, 2) === cache.keyOf(b, 2)).toBe(same(a, b));
      }),
      { seed: 1, numRuns: 2_000 },
    );
  });

  it('gives what was put until its time is over', () => {
    const cache = cacheOf(10);
    const key = cache.keyOf([[1], ['a']], 1)!;
    cache.put(key, scores(0.5), 0);
    expect(cache.get(key, 999)).toEqual(scores(0.5));
    expect(cache.get(key, 1_000)).toBeNull();
    expect(cache.size).toBe(0);
  });

  it('keeps so many at most, and those that were used last', () => {
    const cache = cacheOf(2);
    cache.put('a', scores(1), 0);
    cache.put('b', scores(2), 0);
    cache.get('a', 0);
    cache.put('c', scores(3), 0);
    expect(['a', 'b', 'c'].map((key) => cache.get(key, 0)?.[0] ?? null)).toEqual([1, null, 3]);
  });

  it('keeps no large requests', () => {
    const column: Column = Array.from({ length: 17 }, () => 1);
    expect(cacheOf(10).keyOf([column], 17)).toBeNull();
  });
});
