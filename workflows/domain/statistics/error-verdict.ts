import type { ErrorCheckSpec } from '../spec';
import type { Outcome, Verdict } from '../verdict';
import { boundOf, type Counter, decidingOf, withCounter } from './counts-apart';
import { compareErrorRates, type ErrorComparison, type KeyCounts } from './error-rates';
import { fromLog, growthToSettle, roundedUp } from './e-values';

export interface ErrorCounts {
  readonly champion: KeyCounts;
  readonly challenger: KeyCounts;
  /**
   * Challenger keys that may have met an error without being counted (a gateway died). They stand against a pass as errors, of
   * whichever counts; they are no proof of a failure, since whoever kills a gateway kills both arms.
   */
  readonly challengerLost: number;
}

interface WeighedErrors {
  readonly counter: Counter<ErrorCounts>;
  readonly outcome: Outcome;
  readonly progress: number;
  /** ln of the e-values of worse, and of not worse. */
  readonly logWorse: number;
  readonly logNotWorse: number;
}

/**
 * Whether the challenger fails more often than the champion by more than `spec.margin`. `fail` and `pass` are each wrong in
 * at most `spec.alpha` of rollouts however often this is called. Without challenger keys it is inconclusive (invariant I5).
 * Several counters are judged one by one, each by its share of alpha. What any of them lost stands against a pass of each: callers
 * move, and what was lost is no trial of anybody, so that each e-value of a pass only gets smaller.
 */
export function judgeErrors(spec: ErrorCheckSpec, counters: readonly Counter<ErrorCounts>[]): Verdict {
  const all = sumOf(counters);
  const { challengerLost } = all;
  const { deciding, outcome, isHeldBack } = decidingOf(
    counters.map((counter) => weigh(spec, { ...counter, counts: { ...counter.counts, challengerLost } })),
    rateOf(withLost(all)) <= rateOf(all.champion) + spec.margin,
  );
  const { counter } = deciding;
  return withCounter({ ...tell(spec, deciding), outcome }, counter, {
    gateways: counters.length,
    keys: counter.counts.champion.keys + counter.counts.challenger.keys,
    allKeys: all.champion.keys + all.challenger.keys,
    heldBackBy: isHeldBack ? describeRates({ ...all, challenger: withLost(all) }) : null,
  });
}

function sumOf(counters: readonly Counter<ErrorCounts>[]): ErrorCounts {
  const add = (a: KeyCounts, b: KeyCounts): KeyCounts => ({
    keys: a.keys + b.keys,
    errorKeys: a.errorKeys + b.errorKeys,
  });
  return counters
    .map(({ counts }) => counts)
    .reduce((sum, one) => ({
      champion: add(sum.champion, one.champion),
      challenger: add(sum.challenger, one.challenger),
      challengerLost: sum.challengerLost + one.challengerLost,
    }));
}

function weigh(spec: ErrorCheckSpec, counter: Counter<ErrorCounts>): WeighedErrors {
  const { counts, alphaShare } = counter;
  const seen = compareErrorRates(counts.champion, counts.challenger, spec.margin);
  const held = counts.challengerLost === 0 ? seen : compareErrorRates(counts.champion, withLost(counts), spec.margin);
  const bar = Math.log(1 / (spec.alpha * alphaShare));
  const enough = counts.challenger.keys >= spec.minKeys;
  return {
    counter,
    outcome: seen.logWorse >= bar ? 'fail' : held.logNotWorse >= bar && enough ? 'pass' : 'inconclusive',
    progress: counts.challenger.keys === 0 ? -Infinity : Math.max(seen.logWorse, held.logNotWorse) / bar,
    logWorse: seen.logWorse,
    logNotWorse: held.logNotWorse,
  };
}

function tell(spec: ErrorCheckSpec, { counter, outcome, logWorse, logNotWorse }: WeighedErrors): Verdict {
  const { counts, alphaShare } = counter;
  return {
    check: 'errors',
    outcome,
    statistic:
      outcome === 'pass'
        ? { name: 'e-value of not worse', value: fromLog(logNotWorse) }
        : { name: 'e-value of worse', value: fromLog(logWorse) },
    bound: boundOf(spec.alpha, counter),
    counts: {
      championKeys: counts.champion.keys,
      championErrorKeys: counts.champion.errorKeys,
      challengerKeys: counts.challenger.keys,
      challengerErrorKeys: counts.challenger.errorKeys,
      challengerLostKeys: counts.challengerLost,
    },
    detail: `${describeRates(counts)}, margin ${percent(spec.margin)}`,
    resolves: outcome === 'inconclusive' ? whatResolves({ ...spec, alpha: spec.alpha * alphaShare }, counts) : '',
  };
}

function withLost(counts: ErrorCounts): KeyCounts {
  const { challenger, challengerLost } = counts;
  return { keys: challenger.keys + challengerLost, errorKeys: challenger.errorKeys + challengerLost };
}

function whatResolves(spec: ErrorCheckSpec, counts: ErrorCounts): string {
  const { keys } = counts.challenger;
  if (keys === 0) return `traffic: at least ${spec.minKeys} keys on the challenger`;
  const at = (factor: number): number => {
    const challenger = scaled(withLost(counts), factor);
    const grown: ErrorComparison = compareErrorRates(scaled(counts.champion, factor), challenger, spec.margin);
    return Math.max(grown.logWorse, grown.logNotWorse);
  };
  const factor = growthToSettle(at, spec.alpha);
  if (factor === null) return 'the rates seen are too near the margin: a longer step, or a wider margin';
  return `about ${roundedUp(Math.max(spec.minKeys - keys, keys * (factor - 1), 1))} more keys on the challenger`;
}

function scaled(counts: KeyCounts, factor: number): KeyCounts {
  return { keys: counts.keys * factor, errorKeys: counts.errorKeys * factor };
}

function describeRates({ challenger, champion }: Pick<ErrorCounts, 'challenger' | 'champion'>): string {
  return `challenger ${describeRate(challenger)}, champion ${describeRate(champion)}`;
}

function describeRate(counts: KeyCounts): string {
  return counts.keys === 0 ? 'no keys' : `${percent(rateOf(counts))} of ${counts.keys} keys`;
}

function rateOf({ keys, errorKeys }: KeyCounts): number {
  return keys === 0 ? 0 : errorKeys / keys;
}

function percent(fraction: number): string {
  return `${(fraction * 100).toFixed(2)} %`;
}
