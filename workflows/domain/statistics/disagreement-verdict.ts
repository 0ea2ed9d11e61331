import type { DisagreementClaim } from '../disagreement-claim';
import type { PairedCounts, PairedWindowRow } from '../observation';
import type { DisagreementCheckSpec, Task } from '../spec';
import type { Verdict } from '../verdict';
import { counted } from '../wording';
import { logMeanAbove, logMeanBelow, type Moments } from './bounded-mean';
import { MIN_WHOLE_DAYS, boundMeanDay, halfWidth, type DayMean } from './day-means';
import { growthToSettle, roundedUp } from './e-values';
import { addPairs, firstWindowMs, wholeDays, type DayBlock } from './whole-days';

/** Both arms' scores on the first requests of keys. */
export interface PairedScores {
  readonly total: PairedCounts;
  /** The same by hour; windows of several gateways may begin alike. */
  readonly windows: readonly PairedWindowRow[];
  /** How far the rollout's clock has come, epoch ms. */
  readonly untilMs: number | null;
}

/** Largest difference of two scores that a pass assumes: that of two probabilities, or for regression so many times `max`. */
const LARGEST_DIFFERENCE: Readonly<Record<Task, (max: number) => number>> = {
  binary: () => 1,
  regression: (max) => 50 * max,
};
/** Of `alpha`, for taking back before there are whole days; the rest is for whole days. */
const GROSS_SHARE = 0.2;
const HOUR_MS = 3_600_000;

interface Evidence {
  readonly days: readonly DayBlock[];
  readonly meanDay: DayMean;
  /** ln of the e-value against "no hour differs by more than `gross`". */
  readonly logGross: number;
  /** What the claim is about, with the limit it has to stay below. */
  readonly claimed: Moments;
  readonly limit: { readonly name: 'max' | 'gross'; readonly value: number };
  readonly logBelow: number;
}

/**
 * Whether both arms' scores differ by more than `spec.max` in the mean over assignment keys and days. Traffic differs by the hour and
 * days by their weather, so keys are no independent trials of that, and whole days from the rollout's first hour on are. `fail`: the
 * mean day is above `max`, or, before days can tell, hours are above `gross`. `fail` is wrong in at most `spec.alpha` of rollouts
 * however often this is called, given that days are about normal and that no hour of a model within `max` differs by more than
 * `gross`. What `pass` says is `claim`. A challenger that differs is not shown to be worse: this takes back what
 * cannot be the same model mended, before labels exist.
 */
export function judgeDisagreement(
  spec: DisagreementCheckSpec,
  paired: PairedScores,
  task: Task,
  claim: DisagreementClaim,
): Verdict {
  const evidence = gather(spec, paired, task, claim);
  const isGross = evidence.logGross >= Math.log(1 / (spec.alpha * GROSS_SHARE));
  const isFail = isGross || evidence.meanDay.lower > spec.max;
  const outcome = isFail ? 'fail' : passes(spec, evidence, paired.total.keys, claim) ? 'pass' : 'inconclusive';
  const byDays = evidence.days.length >= MIN_WHOLE_DAYS && !isGross;
  const keys = paired.total.keys;
  const limit = isGross
    ? { name: 'gross', value: spec.gross }
    : byDays
      ? { name: 'max', value: spec.max }
      : evidence.limit;
  return {
    check: 'disagreement',
    outcome,
    statistic: {
      name: 'mean |challenger - champion|',
      value: byDays ? evidence.meanDay.mean : meanOf(isGross ? momentsOf(paired.total) : evidence.claimed),
    },
    bound: limit,
    counts: { keys, days: daysIn(evidence.days) },
    detail: byDays ? describeDays(evidence, spec.max) : describeSeen(evidence, paired, limit, isGross, claim),
    resolves: outcome === 'inconclusive' ? whatResolves(spec, evidence, keys, task, claim) : '',
  };
}

function gather(spec: DisagreementCheckSpec, paired: PairedScores, task: Task, claim: DisagreementClaim): Evidence {
  const days = wholeDays(paired.windows, paired.untilMs, spec.minKeys);
  const claimed = momentsOf(
    claim === 'hours-seen' || claim === 'not-gross' || days.length === 0 ? paired.total : sumOf(days),
  );
  const limit =
    claim === 'not-gross' ? { name: 'gross' as const, value: spec.gross } : { name: 'max' as const, value: spec.max };
  return {
    days,
    meanDay: boundMeanDay(
      days.map(({ keys, sumAbsDifference }) => sumAbsDifference / keys),
      spec.alpha * (1 - GROSS_SHARE),
    ),
    logGross: logMeanAbove(momentsOf(paired.total), spec.gross),
    claimed,
    limit,
    logBelow: logBelow(claimed, limit.value, LARGEST_DIFFERENCE[task](spec.max)),
  };
}

/** No data never means good: what the claim is about has to be there. */
function passes(spec: DisagreementCheckSpec, evidence: Evidence, keys: number, claim: DisagreementClaim): boolean {
  if (keys < spec.minKeys) return false;
  if (claim === 'mean-day') return evidence.meanDay.upper < spec.max;
  const isSeen = claim !== 'days-seen' || evidence.days.length > 0;
  return isSeen && evidence.logBelow >= Math.log(1 / spec.alpha);
}

/** No difference can be above the largest one. */
function logBelow(moments: Moments, bound: number, largest: number): number {
  return bound < largest ? logMeanBelow(moments, bound, largest) : moments.count > 0 ? Infinity : 0;
}

function momentsOf({ keys, sumAbsDifference, sumSquaredDifference }: PairedCounts): Moments {
  return { count: keys, sum: sumAbsDifference, sumSquares: sumSquaredDifference };
}

function sumOf(days: readonly DayBlock[]): PairedCounts {
  return days.reduce<PairedCounts>(addPairs, { keys: 0, sumAbsDifference: 0, sumSquaredDifference: 0 });
}

function meanOf({ count, sum }: Moments): number | null {
  return count > 0 ? sum / count : null;
}

function daysIn(days: readonly DayBlock[]): number {
  return days.reduce((sum, block) => sum + block.days, 0);
}

function describeDays({ days, meanDay }: Evidence, max: number): string {
  const { mean, lower, upper } = meanDay;
  const range = `${rounded(Math.max(0, lower))}..${rounded(upper)}`;
  return `mean difference ${rounded(mean!)} (${range}) over ${daysIn(days)} whole days, limit ${max}`;
}

function describeSeen(
  { days, claimed }: Evidence,
  paired: PairedScores,
  limit: Verdict['bound'],
  isGross: boolean,
  claim: DisagreementClaim,
): string {
  if (paired.total.keys === 0) return 'no request was scored by both arms';
  const overDays = days.length > 0 && !isGross && claim !== 'hours-seen' && claim !== 'not-gross';
  const { count, sum } = overDays ? claimed : momentsOf(paired.total);
  const span = overDays ? counted(daysIn(days), 'whole day') : `the ${counted(hoursOf(paired), 'hour')} seen`;
  const seen = `mean difference ${rounded(sum / count)} over ${count} keys in ${span}`;
  return limit.name === 'gross' ? `${seen}, limit for hours ${limit.value}` : `${seen}, limit ${limit.value}`;
}

function hoursOf({ windows, untilMs }: PairedScores): number {
  const startMs = firstWindowMs(windows);
  return startMs === null || untilMs === null ? 0 : Math.max(1, Math.ceil((untilMs - startMs) / HOUR_MS));
}

function rounded(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function whatResolves(
  spec: DisagreementCheckSpec,
  evidence: Evidence,
  keys: number,
  task: Task,
  claim: DisagreementClaim,
): string {
  if (keys === 0) return `paired traffic: at least ${spec.minKeys} keys`;
  if (claim === 'mean-day') return whatResolvesDays(spec, evidence);
  if (claim === 'days-seen' && evidence.days.length === 0) return 'a whole day of traffic';
  const largest = LARGEST_DIFFERENCE[task](spec.max);
  const { count, sum, sumSquares } = evidence.claimed;
  const at = (factor: number): number =>
    logBelow(
      { count: count * factor, sum: sum * factor, sumSquares: sumSquares * factor },
      evidence.limit.value,
      largest,
    );
  const factor = growthToSettle(at, spec.alpha);
  if (factor === null) return 'the mean is above the limit or too near to it: a longer step, or another limit';
  return `about ${roundedUp(Math.max(spec.minKeys - count, count * (factor - 1), 1))} more paired keys`;
}

/** Days to come are taken to be like those seen. */
function whatResolvesDays(spec: DisagreementCheckSpec, { days, meanDay }: Evidence): string {
  const count = days.length;
  if (count < MIN_WHOLE_DAYS) return counted(MIN_WHOLE_DAYS - count, 'more whole day');
  const means = days.map(({ keys, sumAbsDifference }) => sumAbsDifference / keys);
  const variance = means.reduce((sum, mean) => sum + (mean - meanDay.mean!) ** 2, 0) / count;
  const gap = Math.abs(spec.max - meanDay.mean!);
  for (let more = 1; more <= 100; more += 1)
    if (halfWidth(count + more, variance * (count + more), spec.alpha * (1 - GROSS_SHARE)) < gap)
      return `about ${counted(more, 'more whole day')}`;
  return 'the mean is too near the limit: a longer step, or another limit';
}
