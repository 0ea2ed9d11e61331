import { advantageLowerBound, type DayRows } from '../../../workflows/domain/statistics/day-resampling';
import { auc, calibrationError, measure, r2 } from '../../../workflows/domain/statistics/metrics';
import { normalFrom, seededRandom, type RandomSource } from '../../../workflows/domain/statistics/random';

describe('metrics over rows', () => {
  it('counts a tie of AUC as half a win', () => {
    expect(auc([0.1, 0.5, 0.5, 0.9], [0, 0, 1, 1])).toBe(0.875);
    expect(auc([0.3, 0.3, 0.3, 0.3], [0, 1, 0, 1])).toBe(0.5);
    expect(auc([0.9, 0.1], [0, 1])).toBe(0);
  });

  it('has no AUC where only one label occurs', () => {
    expect(auc([0.1, 0.2], [1, 1])).toBeNull();
    expect(measure('logLoss', [], [])).toBeNull();
  });

  it('agrees with the definition of AUC by pairs', () => {
    const random = seededRandom(7);
    const scores = Array.from({ length: 300 }, () => Math.round(random() * 20) / 20);
    const labels = scores.map((score) => (random() < score ? 1 : 0));
    let won = 0;
    let pairs = 0;
    scores.forEach((mine, i) =>
      scores.forEach((theirs, j) => {
        if (labels[i] !== 1 || labels[j] !== 0) return;
        pairs += 1;
        won += mine > theirs ? 1 : mine === theirs ? 0.5 : 0;
      }),
    );
    expect(auc(scores, labels)).toBeCloseTo(won / pairs, 12);
  });

  it('measures losses against values worked out by hand', () => {
    expect(measure('logLoss', [0.8, 0.4], [1, 0])).toBeCloseTo((-Math.log(0.8) - Math.log(0.6)) / 2, 12);
    expect(measure('brier', [0.8, 0.4], [1, 0])).toBeCloseTo(0.1, 12);
    expect(measure('rmse', [3, 5], [0, 1])).toBeCloseTo(Math.sqrt(12.5), 12);
    expect(measure('mae', [3, 5], [0, 1])).toBe(3.5);
    expect(r2([1, 2, 3], [1, 2, 4])).toBeCloseTo(1 - 1 / (14 / 3), 12);
    expect(r2([1, 2], [5, 5])).toBeNull();
  });

  it('keeps a certain and wrong score finite', () => {
    expect(measure('logLoss', [0], [1])).toBeCloseTo(16.118, 2);
    expect(measure('logLoss', [1], [0])).toBeCloseTo(16.118, 2);
  });

  it('weighs calibration gaps of bins by their rows', () => {
    expect(calibrationError([0.05, 0.95, 0.95, 0.95], [0, 1, 1, 0])).toBeCloseTo((0.05 + 0.85) / 4, 12);
  });
});

describe('advantage of a candidate, resampled by day', () => {
  it('is exact for AUC when a day resampling repeats all days once', () => {
    const days = simulatedDays(seededRandom(3), 20, 60, 0);
    const same = days.map((day) => ({ ...day, champion: day.candidate }));
    expect(advantageLowerBound('auc', same, 0.95, 1)).toBe(0);
    expect(advantageLowerBound('calibrationError', same, 0.95, 1)).toBe(0);
    expect(advantageLowerBound('r2', same, 0.95, 1)).toBe(0);
  });

  it('cannot be measured on two days', () => {
    expect(advantageLowerBound('logLoss', simulatedDays(seededRandom(3), 2, 100, 0), 0.95, 1)).toBeNull();
  });

  it('gives the same bound for the same seed', () => {
    const days = simulatedDays(seededRandom(4), 10, 50, 0.1);
    expect(advantageLowerBound('auc', days, 0.95, 9)).toBe(advantageLowerBound('auc', days, 0.95, 9));
  });

  it.each(['logLoss', 'auc', 'brier'] as const)('finds a real advantage in %s and not its reverse', (metric) => {
    const days = simulatedDays(seededRandom(5), 14, 400, 0.5);
    const reversed = days.map((day) => ({ ...day, candidate: day.champion, champion: day.candidate }));
    expect(advantageLowerBound(metric, days, 0.95, 1)).toBeGreaterThan(0);
    expect(advantageLowerBound(metric, reversed, 0.95, 1)).toBeLessThan(0);
  });

  it('claims an advantage that is not there in at most about one of twenty data sets', () => {
    const random = seededRandom(11);
    let claims = 0;
    const sets = 400;
    for (let set = 0; set < sets; set += 1) {
      const bound = advantageLowerBound('brier', simulatedDays(random, 8, 30, 0), 0.95, set);
      if (bound !== null && bound > 0) claims += 1;
    }
    expect(claims / sets).toBeLessThan(0.08);
  });

  it('takes less than a second for 20,000 rows of 30 days', () => {
    const days = simulatedDays(seededRandom(6), 30, 667, 0.1);
    const started = performance.now();
    advantageLowerBound('auc', days, 0.95, 1);
    expect(performance.now() - started).toBeLessThan(1_000);
  });
});

/** Days with a shared disturbance each; the candidate carries `gain` more of the signal than the champion. */
function simulatedDays(random: RandomSource, days: number, rows: number, gain: number): DayRows[] {
  return Array.from({ length: days }, (_, day) => {
    const shift = normalFrom(random) * 0.5;
    const candidateShift = normalFrom(random) * 0.3;
    const championShift = normalFrom(random) * 0.3;
    const columns = { labels: [] as number[], candidate: [] as number[], champion: [] as number[] };
    for (let row = 0; row < rows; row += 1) {
      const signal = normalFrom(random);
      columns.labels.push(random() < sigmoid(-1 + shift + signal) ? 1 : 0);
      columns.candidate.push(sigmoid(-1 + candidateShift + (0.4 + gain) * signal));
      columns.champion.push(sigmoid(-1 + championShift + 0.4 * signal));
    }
    return { day: `2001-03-${String(day + 1).padStart(2, '0')}`, ...columns };
  });
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}
