import type { PairedCounts } from '../../../workflows/domain/observation';
import { alphaShareOf, type Counter, together } from '../../../workflows/domain/statistics/counts-apart';
import { judgeDisagreement, type PairedScores } from '../../../workflows/domain/statistics/disagreement-verdict';
import { type ErrorCounts, judgeErrors } from '../../../workflows/domain/statistics/error-verdict';
import { seededRandom } from '../../../workflows/domain/statistics/random';
import { addPairs } from '../../../workflows/domain/statistics/whole-days';
import { fleetVerdicts, type FleetRollout } from '../../support/fleet-simulations';
import { skewedPairs } from '../../support/rollout-simulations';

const NO_PAIRS: PairedCounts = { keys: 0, sumAbsDifference: 0, sumSquaredDifference: 0 };
const ROLLOUTS = 100;
/** Two standard deviations of a share of 5 % over so many rollouts. */
const SLACK = 2 * Math.sqrt((0.05 * 0.95) / ROLLOUTS);

/** The challenger exactly at the margin: each verdict is wrong. */
const AT_MARGIN: Omit<FleetRollout, 'gateways' | 'spread' | 'outcomes' | 'retries'> = {
  ...{ champion: 0.02, challenger: 0.03, margin: 0.01, weight: 0.5, alpha: 0.05 },
  ...{ keys: 4_000, visits: 12_000 },
};

/** Shares of rollouts with a wrong verdict. */
function wrongShares(rollout: FleetRollout, rollouts = ROLLOUTS): Readonly<Record<'fail' | 'pass', number>> {
  const visits = rollout.spread === 'at once' ? rollout.visits / 2 : rollout.visits;
  const ends = Array.from({ length: rollouts }, (_, at) => fleetVerdicts(1_000 + at, { ...rollout, visits }));
  const shareOf = (verdict: 'fail' | 'pass'): number => ends.filter((end) => end[verdict] !== null).length / rollouts;
  return { fail: shareOf('fail'), pass: shareOf('pass') };
}

function expectPromiseKept({ fail, pass }: Readonly<Record<'fail' | 'pass', number>>): void {
  expect(fail).toBeLessThan(0.05 + SLACK);
  expect(pass).toBeLessThan(0.05 + SLACK);
}

describe('shares of alpha', () => {
  it('sum to at most 1 however many gateways join, and do not change when more do', () => {
    let sum = 0;
    for (let rank = 1; rank <= 100_000; rank += 1) sum += alphaShareOf(rank);
    expect(sum).toBeLessThanOrEqual(1);
    expect(sum).toBeGreaterThan(0.9999);
    expect([1, 2, 3, 8].map((rank) => Number(alphaShareOf(rank).toFixed(4)))).toEqual([0.9, 0.0333, 0.0167, 0.0028]);
  });
});

describe('verdicts over several gateways, by simulation', () => {
  const spreads = ['at once', 'any', 'half', 'one'] as const;
  const fleets = [3, 8].flatMap((gateways) => spreads.map((spread) => ({ gateways, spread })));
  const cases = [{ gateways: 1, spread: 'any' } as const, ...fleets].flatMap((fleet) =>
    (['persistent', 'independent'] as const).map((outcomes) => ({ ...fleet, outcomes })),
  );

  it.each(cases)('are wrong in at most alpha of rollouts: %o', (fleet) => {
    expectPromiseKept(wrongShares({ ...AT_MARGIN, ...fleet, retries: false }));
  });

  it.each(['persistent', 'independent'] as const)('are so while a fleet grows from 1 to 8 (%s)', (outcomes) => {
    for (const spread of ['any', 'one'] as const)
      expectPromiseKept(wrongShares({ ...AT_MARGIN, gateways: 8, joinEvery: 1_000, spread, outcomes, retries: false }));
  });

  it.each(fleets)('are so where callers whom the champion failed ask another gateway at once: %o', (fleet) => {
    const chance = { ...AT_MARGIN, ...fleet, outcomes: 'independent', retries: true } as const;
    expectPromiseKept(wrongShares(chance));
    expect(wrongShares({ ...chance, outcomes: 'persistent' }).fail).toBeLessThan(0.05 + SLACK);
  });

  it('are so where the callers of each gateway are as much worse off as the margin, some of them often', () => {
    const unequal = [0.005, 0.02, 0.08].map((champion) => ({ champion, challenger: champion + 0.01 }));
    const fleet = { gateways: 3, spread: 'one', outcomes: 'persistent', retries: false } as const;
    for (const order of [unequal, [...unequal].reverse()])
      expectPromiseKept(wrongShares({ ...AT_MARGIN, ...fleet, unequal: order }));
  });

  it('do not pass by one gateway whose callers are served well, while those of the others are not', () => {
    const worse = { champion: 0.02, challenger: 0.07 };
    const unequal = [{ champion: 0, challenger: 0 }, worse, worse];
    const fleet = { gateways: 3, spread: 'one', outcomes: 'persistent', retries: false } as const;
    expect(wrongShares({ ...AT_MARGIN, ...fleet, unequal }).pass).toBeLessThan(0.05 + SLACK);
  });

  it('would be wrong far more often if keys were added up over eight gateways that each key asks', () => {
    const fleet = { gateways: 8, spread: 'at once', outcomes: 'persistent', retries: false } as const;
    const { fail, pass } = wrongShares({ ...AT_MARGIN, ...fleet, counting: 'added' }, 40);
    expect([fail > 0.3, pass > 0.3]).toEqual([true, true]);
  });

  it('take back fewer than alpha of models whose hours are just within the limit, with every key at eight gateways', () => {
    const spec = { max: 0.08, gross: 0.16, alpha: 0.05, minKeys: 50 };
    const random = seededRandom(5);
    let [alarms, passes] = [0, 0];
    for (let rollout = 0; rollout < ROLLOUTS; rollout += 1) {
      let total = skewedPairs(random, 20, spec.gross);
      let [isFail, isPass] = [false, false];
      for (let look = 0; look < 40; look += 1) {
        total = addPairs(total, skewedPairs(random, 20, spec.gross));
        const eight = Array.from({ length: 8 }, (_, at) => at);
        const seen: PairedScores = { total, windows: [], untilMs: null };
        const sums = { ...seen, total: eight.reduce((sum, at) => (at === 0 ? sum : addPairs(sum, total)), total) };
        const { outcome } = judgeDisagreement(
          spec,
          sums,
          eight.map((at) => counter(at, seen)),
          'binary',
          'not-gross',
        );
        isFail ||= outcome === 'fail';
        isPass ||= outcome === 'pass';
      }
      if (isFail) alarms += 1;
      if (isPass) passes += 1;
    }
    expect(alarms / ROLLOUTS).toBeLessThan(0.05);
    expect(passes / ROLLOUTS).toBeLessThan(0.05);
  });
});

describe('a verdict over several gateways', () => {
  const spec = { margin: 0.01, alpha: 0.05, minKeys: 100 };
  const dayLimits = { max: 0.035, gross: 0.15, alpha: 0.05, minKeys: 100 };
  const twoGateways = [counter(0, sixDays([50, 0.005])), counter(1, sixDays([400, 0.03]))];

  it('is made from the counts of one of them, and says which', () => {
    const verdict = judgeErrors(spec, [counter(0, seenErrors(900, 0)), counter(1, seenErrors(300, 0))]);
    expect(verdict.outcome).toBe('pass');
    expect(verdict.detail).toBe(
      'challenger 0.00 % of 900 keys, champion 0.00 % of 900 keys, margin 1.00 %; counted by gateway g1 (1800 of 2400 keys that 2 gateways counted apart)',
    );
    expect(verdict.counts).toMatchObject({ challengerKeys: 900, gateways: 2 });
    expect(verdict.bound.name).toBe('1/(90 % of alpha)');
  });

  it('fails when any of them shows it, whatever another one passes', () => {
    const verdict = judgeErrors(spec, [counter(0, seenErrors(900, 0)), counter(1, seenErrors(300, 60))]);
    expect([verdict.outcome, verdict.counts.challengerErrorKeys]).toEqual(['fail', 60]);
    expect(verdict.bound.value).toBeCloseTo(600);
  });

  it('is open where one gateway passes and the sums over all look worse, and says so', () => {
    const beside = (errorKeys: number): Counter<ErrorCounts> =>
      counter(1, { ...seenErrors(600, errorKeys), champion: { keys: 9_000, errorKeys: 90 } });
    const verdict = judgeErrors(spec, [counter(0, seenErrors(600, 0)), beside(24)]);
    expect([verdict.outcome, verdict.counts.challengerErrorKeys]).toEqual(['inconclusive', 0]);
    expect(verdict.detail).toMatch(
      /counted apart\), but over all gateways challenger 2\.00 % of 1200 keys, champion 0\.94 % of 9600 keys$/,
    );
    expect(verdict.resolves).toMatch(/^the sums over all gateways have to be within the limit too/);
    expect(judgeErrors(spec, [counter(0, seenErrors(600, 0)), beside(22)]).outcome).toBe('pass');
  });

  it('of disagreement is open where the pairs of all gateways are above what one of them is below', () => {
    const limits = { max: 0.08, gross: 0.16, alpha: 0.05, minKeys: 50 };
    const counters = [counter(0, seenPairs(600, 0.04)), counter(1, seenPairs(900, 0.12))];
    const verdict = judgeDisagreement(limits, seenPairs(1_500, 0.088), counters, 'binary', 'hours-seen');
    expect([verdict.outcome, verdict.statistic.value]).toEqual(['inconclusive', 0.04]);
    expect(verdict.detail).toMatch(/counted by gateway g1 .* but over all gateways the mean difference is 0\.088$/);
    const pass = judgeDisagreement(limits, seenPairs(1_500, 0.07), counters, 'binary', 'hours-seen');
    expect(pass.outcome).toBe('pass');
  });

  it.each([
    ['hours-seen', 'mean difference 0.005 over 7200 keys in the 144 hours seen, limit 0.035', 'max'],
    ['not-gross', 'mean difference 0.005 over 7200 keys in the 144 hours seen, limit for hours 0.15', 'gross'],
    ['days-seen', 'mean difference 0.005 over 7200 keys in 6 whole days, limit 0.035', 'max'],
  ] as const)(
    'of disagreement over keys (%s) has the figures of the gateway it names, also after days',
    (claim, detail, bound) => {
      const verdict = judgeDisagreement(dayLimits, sixDays([50, 0.005], [400, 0.03]), twoGateways, 'binary', claim);
      expect([verdict.outcome, verdict.statistic.value, verdict.bound.name]).toEqual(['pass', 0.005, bound]);
      expect(verdict.detail).toBe(
        `${detail}; counted by gateway g1 (7200 of 64800 keys that 2 gateways counted apart)`,
      );
      expect(verdict.counts).toEqual({ keys: 7_200, days: 6, gateways: 2 });
    },
  );

  it('of disagreement over days has the figures of all gateways', () => {
    const verdict = judgeDisagreement(dayLimits, sixDays([50, 0.005], [400, 0.03]), twoGateways, 'binary', 'mean-day');
    expect(verdict.counts).toEqual({ keys: 64_800, days: 6 });
    expect(verdict.detail).toMatch(/^mean difference 0\.0272 .* over 6 whole days, limit 0\.035$/);
    const worse = sixDays([50, 0.005], [400, 0.09]);
    const fail = judgeDisagreement(dayLimits, worse, twoGateways, 'binary', 'hours-seen');
    expect([fail.outcome, fail.counts]).toEqual(['fail', { keys: 64_800, days: 6 }]);
    expect(fail.detail).toMatch(/ over 6 whole days, limit 0\.035$/);
  });

  it('passes by no gateway that has fewer keys than the spec asks for, however many all have', () => {
    const few = [0, 1, 2, 3, 4, 5].map((at) => counter(at, seenErrors(400, 0)));
    expect(judgeErrors({ ...spec, margin: 0.1, minKeys: 1_000 }, few).outcome).toBe('inconclusive');
    expect(judgeErrors({ ...spec, margin: 0.1, minKeys: 400 }, few).outcome).toBe('pass');
  });

  it('is open by the one that is nearest, and says what would add the counts up', () => {
    const verdict = judgeErrors(spec, [counter(0, seenErrors(0, 0)), counter(1, seenErrors(200, 0))]);
    expect(verdict.resolves).toMatch(
      /^about \d+ more keys on the challenger, at one gateway; only with `assignment: \{ source: request \}` the counts of all gateways add up$/,
    );
  });

  it('holds what any gateway lost against a pass of each, and says how much it was', () => {
    const well = counter(0, seenErrors(900, 0));
    const lost = (keys: number): Counter<ErrorCounts> => counter(1, { ...seenErrors(100, 0), challengerLost: keys });
    expect(judgeErrors(spec, [well, lost(0)]).outcome).toBe('pass');
    const held = judgeErrors(spec, [well, lost(60)]);
    expect([held.outcome, held.counts.challengerLostKeys]).toEqual(['inconclusive', 60]);
    expect(judgeErrors(spec, [counter(0, seenErrors(9_000, 0)), lost(60)]).outcome).toBe('pass');
  });

  it('fails by no request that was lost', () => {
    const lost = counter(1, { ...seenErrors(100, 0), challengerLost: 5_000 });
    expect(judgeErrors(spec, [counter(0, seenErrors(900, 0)), lost]).outcome).toBe('inconclusive');
  });

  it('says nothing of gateways where all are counted together', () => {
    const verdict = judgeErrors(spec, [together(seenErrors(900, 0))]);
    expect([verdict.bound, 'gateways' in verdict.counts]).toEqual([{ name: '1/alpha', value: 20 }, false]);
  });

  it('of disagreement names the gateway whose hours were far beyond', () => {
    const limits = { max: 0.08, gross: 0.16, alpha: 0.05, minKeys: 50 };
    const counters = [counter(0, seenPairs(40, 0.05)), counter(1, seenPairs(300, 0.25))];
    const verdict = judgeDisagreement(limits, seenPairs(340, 0.2265), counters, 'binary', 'mean-day');
    expect([verdict.outcome, verdict.counts]).toEqual(['fail', { keys: 300, days: 0, gateways: 2 }]);
    expect(verdict.detail).toContain('counted by gateway g2 (300 of 340 keys that 2 gateways counted apart)');
  });
});

function counter<T>(at: number, counts: T): Counter<T> {
  return { gateway: `g${at + 1}`, alphaShare: alphaShareOf(at + 1), counts };
}

/** As many keys on either arm; the champion without an error. */
function seenErrors(keys: number, errorKeys: number): ErrorCounts {
  return { champion: { keys, errorKeys: 0 }, challenger: { keys, errorKeys }, challengerLost: 0 };
}

/** Of gateways, each with its keys an hour and their mean difference. */
function sixDays(...hourly: readonly (readonly [keys: number, mean: number])[]): PairedScores {
  const windows = hourly.flatMap(([keys, mean]) =>
    Array.from({ length: 6 * 24 }, (_, hour) => ({ startMs: hour * 3_600_000, ...seenPairs(keys, mean).total })),
  );
  return { total: windows.reduce<PairedCounts>(addPairs, NO_PAIRS), windows, untilMs: 6 * 86_400_000 };
}

/** Without hours. */
function seenPairs(keys: number, mean: number): PairedScores {
  return {
    total: { keys, sumAbsDifference: keys * mean, sumSquaredDifference: 1.5 * keys * mean ** 2 },
    ...{ windows: [], untilMs: null },
  };
}
