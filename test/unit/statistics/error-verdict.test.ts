import { together } from '../../../workflows/domain/statistics/counts-apart';
import { compareErrorRates, type KeyCounts } from '../../../workflows/domain/statistics/error-rates';
import { type ErrorCounts, judgeErrors as judgeCounters } from '../../../workflows/domain/statistics/error-verdict';
import { seededRandom, type RandomSource } from '../../../workflows/domain/statistics/random';
import type { Verdict } from '../../../workflows/domain/verdict';

const spec = { margin: 0.01, alpha: 0.05, minKeys: 100 };
const bar = Math.log(1 / 0.05);
const judgeErrors = (check: typeof spec, seen: ErrorCounts): Verdict => judgeCounters(check, [together(seen)]);

describe('errors by assignment key', () => {
  it('are inconclusive without traffic on the challenger, and say what would settle them', () => {
    const verdict = judgeErrors(spec, counts([10_000, 10], [0, 0]));
    expect(verdict.outcome).toBe('inconclusive');
    expect(verdict.resolves).toBe('traffic: at least 100 keys on the challenger');
  });

  it('pass when many keys met no error', () => {
    const verdict = judgeErrors(spec, counts([9_500, 2], [500, 0]));
    expect(verdict.outcome).toBe('pass');
    expect(verdict.detail).toBe('challenger 0.00 % of 500 keys, champion 0.02 % of 9500 keys, margin 1.00 %');
  });

  it('fail when a fifth of forty keys met one', () => {
    expect(judgeErrors(spec, counts([760, 1], [40, 8])).outcome).toBe('fail');
  });

  it('do not pass on fewer keys than the spec asks for, and fail on any number', () => {
    const patient = { ...spec, margin: 0.2 };
    expect(judgeErrors({ ...patient, minKeys: 1_000 }, counts([9_500, 0], [500, 0])).outcome).toBe('inconclusive');
    expect(judgeErrors({ ...patient, minKeys: 1_000 }, counts([500, 0], [20, 20])).outcome).toBe('fail');
  });

  it('count lost requests against a pass, and not as proof of a failure', () => {
    const seen = counts([9_500, 2], [900, 0]);
    expect(judgeErrors(spec, { ...seen, challengerLost: 1 }).outcome).toBe('pass');
    expect(judgeErrors(spec, { ...seen, challengerLost: 40 }).outcome).toBe('inconclusive');
  });

  it('project how many more keys would settle an open question', () => {
    const open = judgeErrors(spec, counts([3_800, 0], [200, 0]));
    expect(open.outcome).toBe('inconclusive');
    const more = Number(/about (\d+) more keys/.exec(open.resolves)![1]);
    const grown = 1 + more / 200;
    expect(judgeErrors(spec, counts([3_800 * grown, 0], [200 * grown, 0])).outcome).toBe('pass');
    expect(more).toBeLessThan(400);
  });

  it('say so when the rates lie at the margin', () => {
    const verdict = judgeErrors(spec, counts([100_000, 1_000], [1_000, 20]));
    expect(verdict.resolves).toBe('the rates seen are too near the margin: a longer step, or a wider margin');
  });

  it('hold whatever the rates: a champion that always fails, and one that never does', () => {
    for (const [champion, challenger] of [
      [counts([1_000, 1_000], [100, 100]), 'inconclusive'],
      [counts([1_000, 0], [100, 100]), 'fail'],
      [counts([0, 0], [300, 0]), 'inconclusive'],
    ] as const) {
      const verdict = judgeErrors({ ...spec, margin: 0.005 }, champion);
      expect([verdict.outcome, Number.isFinite(verdict.statistic.value)]).toEqual([challenger, true]);
    }
  });
});

describe('comparison of error rates by simulation', () => {
  it.each([
    { rate: 0.01, weight: 0.05, margin: 0 },
    { rate: 0.01, weight: 0.5, margin: 0 },
    { rate: 0.002, weight: 0.1, margin: 0.01 },
    { rate: 0.2, weight: 0.2, margin: 0.02 },
  ])('alarms in fewer than 5 % of rollouts at the edge of the null, at any look: %o', ({ rate, weight, margin }) => {
    const random = seededRandom(2001);
    const replications = 2_000;
    let alarms = 0;
    for (let replication = 0; replication < replications; replication += 1) {
      const at = firstCrossing(
        random,
        { challenger: rate + margin, champion: rate, weight, margin, keys: 1_000 },
        'logWorse',
      );
      if (at !== null) alarms += 1;
    }
    expect(alarms / replications).toBeLessThan(0.05);
  });

  it('passes a challenger that is worse than the margin in fewer than 5 % of rollouts', () => {
    const random = seededRandom(7);
    let passes = 0;
    for (let replication = 0; replication < 500; replication += 1) {
      const rollout = { challenger: 0.02, champion: 0.01, weight: 0.1, margin: 0.01, keys: 1_000 };
      if (firstCrossing(random, rollout, 'logNotWorse') !== null) passes += 1;
    }
    expect(passes / 500).toBeLessThan(0.05);
  });

  it.each([
    { challenger: 0.02, champion: 0.01, within: 2_400 },
    { challenger: 0.05, champion: 0.01, within: 200 },
  ])('sees $champion become $challenger at a median of at most $within keys', ({ challenger, champion, within }) => {
    const random = seededRandom(12);
    const rollout = { challenger, champion, weight: 0.05, margin: 0, keys: within * 2 };
    const found = Array.from({ length: 60 }, () => firstCrossing(random, rollout, 'logWorse') ?? Infinity);
    expect(found.sort((a, b) => a - b)[30]).toBeLessThanOrEqual(within);
  });

  it('is not fooled by callers that come back: only first requests are trials', () => {
    const random = seededRandom(99);
    let alarms = 0;
    for (let replication = 0; replication < 300; replication += 1) {
      // Each caller has its own error rate, sends 200 requests, and counts once.
      const firstRequests = (callers: number): KeyCounts => {
        let errorKeys = 0;
        for (let caller = 0; caller < callers; caller += 1) {
          const ownRate = random() < 0.1 ? 0.2 : 0;
          if (random() < ownRate) errorKeys += 1;
        }
        return { keys: callers, errorKeys };
      };
      if (compareErrorRates(firstRequests(900), firstRequests(100), 0).logWorse >= bar) alarms += 1;
    }
    expect(alarms / 300).toBeLessThan(0.05);
  });
});

interface SimulatedRollout {
  readonly challenger: number;
  readonly champion: number;
  readonly weight: number;
  readonly margin: number;
  readonly keys: number;
}

/** Challenger keys at the first look that crosses; "worse" can only cross at an error of the challenger. */
function firstCrossing(
  random: RandomSource,
  rollout: SimulatedRollout,
  side: 'logWorse' | 'logNotWorse',
): number | null {
  const seen = { champion: { keys: 0, errorKeys: 0 }, challenger: { keys: 0, errorKeys: 0 } };
  while (seen.challenger.keys < rollout.keys) {
    const arm = random() < rollout.weight ? 'challenger' : 'champion';
    const isError = random() < rollout[arm];
    seen[arm].keys += 1;
    if (isError) seen[arm].errorKeys += 1;
    const isTelling =
      side === 'logWorse' ? arm === 'challenger' && isError : arm === 'challenger' && seen.challenger.keys % 25 === 0;
    if (
      isTelling &&
      couldCross(seen, rollout.margin) &&
      compareErrorRates(seen.champion, seen.challenger, rollout.margin)[side] >= bar
    )
      return seen.challenger.keys;
  }
  return null;
}

/** No likelihood ratio is larger than that of the best rate against champion's rate + margin: other looks need no computing. */
function couldCross({ champion, challenger }: Record<'champion' | 'challenger', KeyCounts>, margin: number): boolean {
  const edge = Math.min(1, champion.errorKeys / Math.max(1, champion.keys) + margin);
  const rate = challenger.errorKeys / challenger.keys;
  const term = (a: number, b: number): number => (a === 0 ? 0 : a * Math.log(a / b));
  return challenger.keys * (term(rate, edge) + term(1 - rate, 1 - edge)) >= bar;
}

function counts(champion: [number, number], challenger: [number, number]): ErrorCounts {
  return {
    champion: { keys: champion[0], errorKeys: champion[1] },
    challenger: { keys: challenger[0], errorKeys: challenger[1] },
    challengerLost: 0,
  };
}
