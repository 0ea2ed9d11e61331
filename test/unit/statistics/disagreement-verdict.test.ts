import type { PairedCounts } from '../../../workflows/domain/observation';
import { logMeanAbove, logMeanBelow } from '../../../workflows/domain/statistics/bounded-mean';
import { judgeDisagreement } from '../../../workflows/domain/statistics/disagreement-verdict';
import { seededRandom, type RandomSource } from '../../../workflows/domain/statistics/random';

const spec = { max: 0.07, alpha: 0.05, minKeys: 50 };
const bar = Math.log(1 / spec.alpha);

describe('disagreement of paired scores', () => {
  it('is inconclusive where no request was scored by both arms', () => {
    const verdict = judgeDisagreement(spec, { keys: 0, sumAbsDifference: 0, sumSquaredDifference: 0 }, 'binary');
    expect([verdict.outcome, verdict.statistic.value]).toEqual(['inconclusive', null]);
    expect(verdict.resolves).toBe('paired traffic: at least 50 keys');
  });

  it('fails a model fed with other hours than callers send, and passes a better one', () => {
    const random = seededRandom(5);
    expect(judgeDisagreement(spec, pairs(random, 600, 0.095), 'binary').outcome).toBe('fail');
    expect(judgeDisagreement(spec, pairs(random, 600, 0.045), 'binary').outcome).toBe('pass');
  });

  it('passes identical models, and names the mean it saw', () => {
    const verdict = judgeDisagreement(spec, { keys: 500, sumAbsDifference: 0, sumSquaredDifference: 0 }, 'binary');
    expect([verdict.outcome, verdict.statistic.value]).toEqual(['pass', 0]);
  });

  it('fails regression models whose differences have no upper limit', () => {
    const counts = { keys: 100, sumAbsDifference: 1_000, sumSquaredDifference: 20_000 };
    expect(judgeDisagreement({ ...spec, max: 2 }, counts, 'regression').outcome).toBe('fail');
  });

  it('says about how many more keys settle it', () => {
    const verdict = judgeDisagreement(spec, pairs(seededRandom(8), 60, 0.05), 'binary');
    expect(verdict.outcome).toBe('inconclusive');
    expect(verdict.resolves).toMatch(/^about \d+ more paired keys$/);
  });
});

describe('disagreement by simulation', () => {
  it.each([0.07, 0.3])('fails and passes in fewer than 5 % of rollouts whose mean is at the bound %f', (mean) => {
    const random = seededRandom(77);
    const crossed = { above: 0, below: 0 };
    const replications = 2_000;
    for (let replication = 0; replication < replications; replication += 1) {
      const found = firstCrossings(random, mean, mean, 600);
      if (found.above !== null) crossed.above += 1;
      if (found.below !== null) crossed.below += 1;
    }
    expect(crossed.above / replications).toBeLessThan(0.05);
    expect(crossed.below / replications).toBeLessThan(0.05);
  });

  it('finds .09 above .07, and .04 below it, at a median of at most 300 keys', () => {
    const random = seededRandom(3);
    const median = (values: (number | null)[]): number =>
      values.map((value) => value ?? Infinity).sort((a, b) => a - b)[50]!;
    const at = (mean: number) => Array.from({ length: 101 }, () => firstCrossings(random, mean, 0.07, 1_000));
    expect(median(at(0.09).map(({ above }) => above))).toBeLessThanOrEqual(300);
    expect(median(at(0.04).map(({ below }) => below))).toBeLessThanOrEqual(300);
  });
});

/** Absolute differences of a skewed shape (a sum of two exponentials), cut at 1. */
function difference(random: RandomSource, mean: number): number {
  return Math.min(1, (-(Math.log(1 - random()) + Math.log(1 - random())) * mean) / 2);
}

function pairs(random: RandomSource, keys: number, mean: number): PairedCounts {
  let [sum, squares] = [0, 0];
  for (let key = 0; key < keys; key += 1) {
    const x = difference(random, mean);
    sum += x;
    squares += x * x;
  }
  return { keys, sumAbsDifference: sum, sumSquaredDifference: squares };
}

function firstCrossings(random: RandomSource, mean: number, bound: number, keys: number) {
  const found: { above: number | null; below: number | null } = { above: null, below: null };
  let [sum, squares] = [0, 0];
  for (let count = 1; count <= keys; count += 1) {
    const x = difference(random, mean);
    sum += x;
    squares += x * x;
    const moments = { count, sum, sumSquares: squares };
    if (sum > count * bound) {
      if (found.above === null && logMeanAbove(moments, bound) >= bar) found.above = count;
    } else if (found.below === null && logMeanBelow(moments, bound, 1) >= bar) found.below = count;
  }
  return found;
}
