import type { DisagreementClaim } from '../../../workflows/domain/disagreement-claim';
import type { PairedCounts, PairedWindowRow } from '../../../workflows/domain/observation';
import { together } from '../../../workflows/domain/statistics/counts-apart';
import {
  judgeDisagreement as judgeCounters,
  type PairedScores,
} from '../../../workflows/domain/statistics/disagreement-verdict';
import { normalFrom, seededRandom, type RandomSource } from '../../../workflows/domain/statistics/random';
import { wholeDays } from '../../../workflows/domain/statistics/whole-days';
import type { Task } from '../../../workflows/domain/spec';
import type { Verdict } from '../../../workflows/domain/verdict';
import { patternedVerdict, skewedPairs } from '../../support/rollout-simulations';

const spec = { max: 0.08, gross: 0.16, alpha: 0.05, minKeys: 50 };
const HOUR_MS = 3_600_000;
const judgeDisagreement = (check: typeof spec, paired: PairedScores, task: Task, claim: DisagreementClaim): Verdict =>
  judgeCounters(check, paired, [together(paired)], task, claim);
const START_MS = Date.UTC(2001, 2, 4, 18);
const NONE: PairedScores = {
  total: { keys: 0, sumAbsDifference: 0, sumSquaredDifference: 0 },
  windows: [],
  untilMs: START_MS,
};

describe('disagreement of paired scores', () => {
  it.each(['mean-day', 'days-seen', 'hours-seen', 'not-gross'] as const)(
    'is inconclusive where no request was scored by both arms (%s)',
    (claim) => {
      const verdict = judgeDisagreement(spec, NONE, 'binary', claim);
      expect([verdict.outcome, verdict.statistic.value]).toEqual(['inconclusive', null]);
      expect(verdict.resolves).toBe('paired traffic: at least 50 keys');
    },
  );

  it('does not take back a good model for the hours at which its rollout began', () => {
    const night = seen(630, 0.0955, 5);
    const verdict = judgeDisagreement(spec, night, 'binary', 'mean-day');
    expect([verdict.outcome, verdict.resolves]).toEqual(['inconclusive', '3 more whole days']);
    expect(verdict.detail).toBe('mean difference 0.0955 over 630 keys in the 5 hours seen, limit 0.08');
    expect(judgeDisagreement(spec, night, 'binary', 'days-seen').resolves).toBe('a whole day of traffic');
    expect(judgeDisagreement(spec, night, 'binary', 'not-gross').outcome).toBe('pass');
  });

  it('takes back at once what is far beyond in the hours seen', () => {
    const verdict = judgeDisagreement(spec, seen(120, 0.25, 6), 'binary', 'mean-day');
    expect([verdict.outcome, verdict.bound]).toEqual(['fail', { name: 'gross', value: 0.16 }]);
    expect(verdict.detail).toBe('mean difference 0.25 over 120 keys in the 6 hours seen, limit for hours 0.16');
  });

  it('tells the mean whole day with its confidence sequence', () => {
    const verdict = judgeDisagreement(spec, days([0.06, 0.062, 0.061]), 'binary', 'mean-day');
    expect(verdict.outcome).toBe('pass');
    expect(verdict.detail).toMatch(/^mean difference 0\.061 \(0\.05\d+\.\.0\.06\d+\) over 3 whole days, limit 0\.08$/);
    expect(verdict.counts).toEqual({ keys: 300, days: 3 });
  });

  it('takes back a model whose days are all above the limit', () => {
    const verdict = judgeDisagreement(spec, days([0.12, 0.13, 0.12, 0.125]), 'binary', 'mean-day');
    expect([verdict.outcome, verdict.bound.name]).toEqual(['fail', 'max']);
  });

  it('lets a short rollout pass by the hours it saw, and says so', () => {
    const verdict = judgeDisagreement(spec, seen(600, 0.045, 1), 'binary', 'hours-seen');
    expect([verdict.outcome, verdict.detail]).toEqual([
      'pass',
      'mean difference 0.045 over 600 keys in the 1 hour seen, limit 0.08',
    ]);
    expect(judgeDisagreement(spec, seen(600, 0.095, 1), 'binary', 'hours-seen').outcome).toBe('inconclusive');
  });

  it('keeps what passed after some days, whatever the next one brings', () => {
    const storm = [0.06, 0.062, 0.061, 0.063, 0.127];
    expect(judgeDisagreement(spec, days(storm), 'binary', 'mean-day').outcome).toBe('pass');
    expect(judgeDisagreement(spec, days(storm.slice(-2)), 'binary', 'mean-day').outcome).toBe('inconclusive');
  });

  it('passes identical models', () => {
    const verdict = judgeDisagreement(spec, days([0, 0, 0]), 'binary', 'mean-day');
    expect([verdict.outcome, verdict.statistic.value]).toEqual(['pass', 0]);
  });

  it('fails regression models whose differences have no upper limit', () => {
    const total = { keys: 100, sumAbsDifference: 1_000, sumSquaredDifference: 20_000 };
    const regression = { ...spec, max: 2, gross: 4 };
    expect(judgeDisagreement(regression, { ...NONE, total }, 'regression', 'mean-day').outcome).toBe('fail');
  });

  it('says about how much more settles it', () => {
    const few = judgeDisagreement(
      spec,
      { ...NONE, total: skewedPairs(seededRandom(8), 60, 0.06) },
      'binary',
      'hours-seen',
    );
    expect([few.outcome, few.resolves]).toEqual([
      'inconclusive',
      expect.stringMatching(/^about \d+ more paired keys$/),
    ]);
    const near = judgeDisagreement(spec, days([0.06, 0.07, 0.075, 0.065]), 'binary', 'mean-day');
    expect([near.outcome, near.resolves]).toEqual([
      'inconclusive',
      expect.stringMatching(/^about \d+ more whole days$/),
    ]);
  });
});

describe('whole days', () => {
  it('begin with the first hour of the rollout, and the one that is not over is left out', () => {
    const windows = Array.from({ length: 53 }, (_, hour) => row(hour, 10, 0.1));
    expect(wholeDays(windows, START_MS + 52 * HOUR_MS, 1).map(({ keys }) => keys)).toEqual([240, 240]);
    expect(wholeDays(windows, START_MS + 23.9 * HOUR_MS, 1)).toEqual([]);
  });

  it('with few new keys are joined to the next: callers who come back count once', () => {
    const windows = [row(0, 500, 0.1), row(25, 20, 0.1), row(49, 15, 0.1), row(73, 70, 0.1)];
    const blocks = wholeDays(windows, START_MS + 96 * HOUR_MS, 50);
    expect(blocks.map(({ days: count, keys }) => [count, keys])).toEqual([
      [1, 500],
      [3, 105],
    ]);
  });

  it('hold what all gateways saw of them', () => {
    expect(wholeDays([row(0, 30, 0.1), row(0, 40, 0.1), row(30, 9, 0.1)], START_MS + 24 * HOUR_MS, 50)).toMatchObject([
      { keys: 70 },
    ]);
  });
});

describe('disagreement by simulation of days with a pattern', () => {
  const normalDays = (deviation: number) => (random: RandomSource) => Math.max(0.1, 1 + deviation * normalFrom(random));
  const skewedDays = (deviation: number) => (random: RandomSource) =>
    Math.exp(deviation * normalFrom(random) - deviation ** 2 / 2);
  const shareOf = (verdict: 'fail' | 'pass', mean: number, dayFactor: (random: RandomSource) => number): number => {
    const random = seededRandom(7);
    const rollouts = 100;
    let found = 0;
    for (let rollout = 0; rollout < rollouts; rollout += 1) {
      const startHour = (rollout * 5) % 24;
      const seenOf = patternedVerdict(random, spec, { mean, keysPerDay: 120, startHour, dayFactor }, 9);
      if (seenOf[verdict] !== null) found += 1;
    }
    return found / rollouts;
  };

  it.each([
    ['normal days, 15 % apart', normalDays(0.15)],
    ['days that hardly differ', normalDays(0.01)],
    ['skewed days, 25 % apart', skewedDays(0.25)],
  ])('takes back fewer than 5 % of models whose mean is just within the limit (%s)', (_, dayFactor) => {
    expect(shareOf('fail', 0.0799, dayFactor)).toBeLessThan(0.05);
  });

  it('passes fewer than 5 % of models whose mean is just beyond the limit', () => {
    expect(shareOf('pass', 0.0801, normalDays(0.15))).toBeLessThan(0.05);
  });

  it('takes back a mean of 0.11 within 9 days, and passes one of 0.06, in more than 95 %', () => {
    expect(shareOf('fail', 0.11, normalDays(0.1))).toBeGreaterThan(0.95);
    expect(shareOf('pass', 0.06, normalDays(0.08))).toBeGreaterThan(0.95);
  });

  it('takes back a model of shifted hours on its first morning', () => {
    // As measured on flights whose hours were read in UTC.
    const factorOf = (hour: number): number => ({ 5: 2.6, 6: 3.1, 7: 2, 8: 1.6 })[hour] ?? 0.6;
    const rollout = { mean: 0.1, keysPerDay: 1_700, startHour: 0, factorOf, dayFactor: normalDays(0.03) };
    const hours = Array.from({ length: 20 }, (_, seed) => patternedVerdict(seededRandom(seed), spec, rollout, 1).fail);
    expect(hours.filter((hour) => hour !== null && hour <= 9).length).toBeGreaterThanOrEqual(18);
  });
});

/** A window of one mean, `hour` hours after the rollout began. */
function row(hour: number, keys: number, mean: number): PairedWindowRow {
  const sums: PairedCounts = { keys, sumAbsDifference: keys * mean, sumSquaredDifference: 1.5 * keys * mean ** 2 };
  return { startMs: START_MS + hour * HOUR_MS, ...sums };
}

function seen(keys: number, mean: number, hours: number): PairedScores {
  const { startMs, ...total } = row(0, keys, mean);
  return { total, windows: [{ startMs, ...total }], untilMs: startMs + hours * HOUR_MS };
}

function days(means: readonly number[]): PairedScores {
  const windows = means.map((mean, day) => row(24 * day, 100, mean));
  const sum = (pick: (counts: PairedCounts) => number): number => windows.reduce((all, one) => all + pick(one), 0);
  const total = {
    keys: sum(({ keys }) => keys),
    sumAbsDifference: sum(({ sumAbsDifference }) => sumAbsDifference),
    sumSquaredDifference: sum(({ sumSquaredDifference }) => sumSquaredDifference),
  };
  return { total, windows, untilMs: START_MS + 24 * HOUR_MS * means.length };
}
