import {
  countLikeCategories,
  countLikeNumbers,
  countLikeTimestamps,
  profileCategories,
  profileNumbers,
  profileTimestamps,
  referenceCounts,
} from '../../../workflows/domain/profile';
import { benjaminiHochberg, judgeDrift, testDrift } from '../../../workflows/domain/statistics/drift';
import { normalFrom, seededRandom, type RandomSource } from '../../../workflows/domain/statistics/random';

const spec = { alpha: 0.05, minEffect: 0.02, consecutive: 2 };

describe('profile of a training set', () => {
  it('counts its own rows back, with none out of range', () => {
    const values = [...normals(seededRandom(1), 5_000), Number.NaN, Number.NaN];
    const profile = profileNumbers(values);
    expect(profile.counts.reduce((sum, count) => sum + count, 0)).toBe(5_000);
    expect([profile.below, profile.above, profile.missing]).toEqual([0, 0, 2]);
    expect(profile.edges.length).toBe(13);
    expect(profile.mean).toBeCloseTo(0, 1);
    expect(profile.sd).toBeCloseTo(1, 1);
  });

  it('puts values outside the reference, infinite and missing ones into bins of their own', () => {
    const profile = profileNumbers([1, 2, 3, 4, 5]);
    expect(countLikeNumbers(profile, [0, 9, Infinity, -Infinity, Number.NaN, 5]).slice(-4)).toEqual([1, 2, 2, 1]);
  });

  it('holds columns that are constant, empty or all missing', () => {
    expect(profileNumbers([7, 7, 7])).toMatchObject({ edges: [7], counts: [3], sd: 0, min: 7, max: 7 });
    expect(profileNumbers([Number.NaN])).toMatchObject({ edges: [], counts: [0], missing: 1 });
    expect(countLikeNumbers(profileNumbers([7]), [6, 7, 8])).toEqual([1, 1, 1, 0]);
    expect(profileTimestamps([])).toMatchObject({ missing: 0, min: 0, max: 0 });
  });

  it('keeps the most frequent categories and sums up the others', () => {
    const profile = profileCategories(['b', 'a', 'a', 'c', 'b', 'd', null, ''], 2);
    expect(profile).toEqual({ kind: 'category', values: ['a', 'b'], counts: [2, 2], other: 2, missing: 2 });
    expect(countLikeCategories(profile, ['a', 'z', null])).toEqual([1, 0, 1, 1]);
  });

  it('counts timestamps by hour of the day, before 1970 too', () => {
    const counts = countLikeTimestamps([0, 3_600_000 * 25, -1, Number.NaN]);
    expect([counts[0], counts[1], counts[23], counts[24]]).toEqual([1, 1, 1, 1]);
  });
});

describe('drift of a feature', () => {
  it.each([
    [10_000, 200],
    [10_000, 500],
    [10_000, 2_000],
    [3_000, 3_000],
  ])('alarms at its level where nothing drifted: reference %i, window %i', (reference, window) => {
    const random = seededRandom(41);
    const sets = 300;
    let alarms = 0;
    for (let set = 0; set < sets; set += 1) {
      const profile = profileNumbers(normals(random, reference));
      const counts = countLikeNumbers(profile, normals(random, window));
      if (testDrift(referenceCounts(profile), counts, profile.counts.length).pValue < 0.05) alarms += 1;
    }
    expect(alarms / sets).toBeLessThan(0.09);
    expect(alarms / sets).toBeGreaterThan(0.015);
  });

  it('sees 5 % of rows moved far out, which deciles hide', () => {
    const random = seededRandom(2);
    const profile = profileNumbers(normals(random, 10_000));
    const window = normals(random, 1_000).map((value, row) => (row < 50 ? 100 : value));
    const drift = testDrift(referenceCounts(profile), countLikeNumbers(profile, window), profile.counts.length);
    expect(drift.psi).toBeGreaterThan(0.2);
    expect(drift.pValue).toBeLessThan(1e-6);
  });

  it('needs significance and an effect', () => {
    const random = seededRandom(6);
    const profile = profileNumbers(normals(random, 50_000));
    const shifted = (shift: number, rows: number) => ({
      name: `shift ${shift}`,
      profile,
      window: countLikeNumbers(
        profile,
        normals(random, rows).map((value) => value + shift),
      ),
    });
    const verdicts = judgeDrift(spec, [shifted(0.06, 50_000), shifted(0.3, 2_000), shifted(0, 2_000), shifted(3, 100)]);
    expect(verdicts.map(({ outcome }) => outcome)).toEqual(['pass', 'fail', 'pass', 'inconclusive']);
    expect(verdicts[0]!.detail).toContain('significant');
    expect(verdicts[1]!.detail).toContain(', p < 0.001,');
    expect(verdicts[2]!.detail).toMatch(/, p 0\.\d+$/);
  });

  it('sees a new category and a shifted hour', () => {
    const random = seededRandom(9);
    const texts = (rows: number, extra: string | null): string[] =>
      Array.from({ length: rows }, () => (extra && random() < 0.1 ? extra : `c${Math.floor(random() * 8)}`));
    const hours = (rows: number, shift: number): Float64Array =>
      Float64Array.from({ length: rows }, () => ((random() + random()) * 9 + shift) * 3_600_000);
    const origin = profileCategories(texts(5_000, null));
    const departure = profileTimestamps(hours(5_000, 3));
    const verdicts = judgeDrift(spec, [
      { name: 'origin', profile: origin, window: countLikeCategories(origin, texts(1_000, 'new')) },
      { name: 'departure', profile: departure, window: countLikeTimestamps(hours(1_000, 8)) },
      { name: 'same', profile: departure, window: countLikeTimestamps(hours(1_000, 3)) },
    ]);
    expect(verdicts.map(({ outcome }) => outcome)).toEqual(['fail', 'fail', 'pass']);
  });

  it('holds the false discovery rate as Benjamini and Hochberg do', () => {
    expect(benjaminiHochberg([0.01, 0.04, 0.03, 0.005, 0.5], 0.05)).toEqual([true, true, true, true, false]);
    expect(benjaminiHochberg([0.03, 0.2, 0.4], 0.05)).toEqual([false, false, false]);
    expect(benjaminiHochberg([], 0.05)).toEqual([]);
  });
});

function normals(random: RandomSource, count: number): number[] {
  return Array.from({ length: count }, () => normalFrom(random));
}
