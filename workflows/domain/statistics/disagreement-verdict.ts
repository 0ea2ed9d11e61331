import type { DisagreementClaim } from '../disagreement-claim';
import type { PairedCounts, PairedWindowRow } from '../observation';
import type { DisagreementCheckSpec, Task } from '../spec';
import type { Outcome, Verdict } from '../verdict';
import { counted } from '../wording';
import { logMeanAbove, logMeanBelow, type Moments } from './bounded-mean';
import { type Counter, decidingOf, together, withCounter } from './counts-apart';
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

/** Of days over all gateways: how often a key was counted only shifts what it weighs in the mean of its day. */
interface DayEvidence {
  readonly blocks: readonly DayBlock[];
  readonly meanDay: DayMean;
}

/** Of keys as trials: of one gateway, where several may meet the same key. */
interface KeyEvidence {
  readonly counter: Counter<PairedScores>;
  readonly outcome: Outcome;
  readonly progress: number;
  /** What the claim is about, the whole days it is from (none: the hours seen), and the limit it has to stay below. */
  readonly claimed: Moments;
  readonly blocks: readonly DayBlock[];
  /** Whole days seen, whatever the claim is about. */
  readonly days: number;
  readonly limit: { readonly name: 'max' | 'gross'; readonly value: number };
}

/**
 * Whether both arms' scores differ by more than `spec.max` in the mean over assignment keys and days. Traffic differs by the hour and
 * days by their weather, so keys are no independent trials of that, and whole days from the rollout's first hour on are. `fail`: the
 * mean day is above `max`, or, before days can tell, hours are above `gross`. `fail` is wrong in at most `spec.alpha` of rollouts
 * however often this is called, given that days are about normal and that no hour of a model within `max` differs by more than
 * `gross`. What `pass` says is `claim`. A challenger that differs is not shown to be worse: this takes back what
 * cannot be the same model mended, before labels exist. `paired` is of all gateways and makes the days; what is said over keys is
 * said by one of `counters`, each with its share of alpha; none passes what all of them together are above.
 */
export function judgeDisagreement(
  spec: DisagreementCheckSpec,
  paired: PairedScores,
  counters: readonly Counter<PairedScores>[],
  task: Task,
  claim: DisagreementClaim,
): Verdict {
  const days = gatherDays(spec, paired);
  const pooled = weighKeys(spec, together(paired), task, claim);
  const byKeys = decidingOf(
    counters.map((counter) => weighKeys(spec, counter, task, claim)),
    (meanOf(pooled.claimed) ?? 0) <= pooled.limit.value,
  );
  const isGross = byKeys.outcome === 'fail';
  const isFail = isGross || days.meanDay.lower > spec.max;
  const passed = claim === 'mean-day' ? meanDayPasses(spec, days, paired.total.keys) : byKeys.outcome === 'pass';
  const outcome = isFail ? 'fail' : passed ? 'pass' : 'inconclusive';
  const ofDays = !isGross && (claim === 'mean-day' || isFail);
  const seen = ofDays ? pooled : byKeys.deciding;
  const verdict: Verdict = {
    check: 'disagreement',
    outcome,
    ...describe(spec, ofDays ? days : null, seen, isGross, claim),
    resolves: outcome === 'inconclusive' ? whatResolves(spec, days, seen, task, claim) : '',
  };
  return withCounter(verdict, seen.counter, {
    gateways: counters.length,
    keys: seen.counter.counts.total.keys,
    allKeys: paired.total.keys,
    heldBackBy: byKeys.isHeldBack ? `the mean difference is ${rounded(meanOf(pooled.claimed)!)}` : null,
  });
}

/**
 * A key that several gateways paired is in a day several times. Days stay the trials, each with its own mean; only the keys
 * that fill up a day of few may be fewer than `minKeys`.
 */
function gatherDays(spec: DisagreementCheckSpec, { windows, untilMs }: PairedScores): DayEvidence {
  const blocks = wholeDays(windows, untilMs, spec.minKeys);
  const means = blocks.map(({ keys, sumAbsDifference }) => sumAbsDifference / keys);
  return { blocks, meanDay: boundMeanDay(means, spec.alpha * (1 - GROSS_SHARE)) };
}

/** `fail`: no hour differs by more than `gross`, and yet these do. `pass`: the claim, where it is about keys. */
function weighKeys(
  spec: DisagreementCheckSpec,
  counter: Counter<PairedScores>,
  task: Task,
  claim: DisagreementClaim,
): KeyEvidence {
  const { total, windows, untilMs } = counter.counts;
  const alpha = spec.alpha * counter.alphaShare;
  const ofHours = claim === 'hours-seen' || claim === 'not-gross';
  const whole = wholeDays(windows, untilMs, spec.minKeys);
  const blocks = ofHours ? [] : whole;
  const claimed = momentsOf(blocks.length === 0 ? total : sumOf(blocks));
  const limit =
    claim === 'not-gross' ? { name: 'gross' as const, value: spec.gross } : { name: 'max' as const, value: spec.max };
  const logGross = logMeanAbove(momentsOf(total), spec.gross);
  const logLess = logBelow(claimed, limit.value, LARGEST_DIFFERENCE[task](spec.max));
  const barGross = Math.log(1 / (alpha * GROSS_SHARE));
  const bar = Math.log(1 / alpha);
  // No data never means good: what the claim is about has to be there.
  const isThere = total.keys >= spec.minKeys && (claim !== 'days-seen' || blocks.length > 0);
  return {
    counter,
    outcome: logGross >= barGross ? 'fail' : isThere && logLess >= bar ? 'pass' : 'inconclusive',
    progress: total.keys === 0 ? -Infinity : Math.max(logGross / barGross, logLess / bar),
    ...{ claimed, blocks, days: daysIn(whole), limit },
  };
}

function meanDayPasses(spec: DisagreementCheckSpec, { meanDay }: DayEvidence, keys: number): boolean {
  return keys >= spec.minKeys && meanDay.upper < spec.max;
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

function daysIn(blocks: readonly DayBlock[]): number {
  return blocks.reduce((sum, block) => sum + block.days, 0);
}

/** `days` is null where keys decide: figures of all gateways' days would not be those of whoever counted the keys. */
function describe(
  spec: DisagreementCheckSpec,
  days: DayEvidence | null,
  seen: KeyEvidence,
  isGross: boolean,
  claim: DisagreementClaim,
): Pick<Verdict, 'statistic' | 'bound' | 'counts' | 'detail'> {
  const counts = { keys: seen.counter.counts.total.keys, days: seen.days };
  const name = 'mean |challenger - champion|';
  if (days !== null && days.blocks.length >= MIN_WHOLE_DAYS)
    return {
      statistic: { name, value: days.meanDay.mean },
      bound: { name: 'max', value: spec.max },
      counts,
      detail: describeDays(days, spec.max),
    };
  const limit = isGross ? { name: 'gross', value: spec.gross } : seen.limit;
  return {
    statistic: { name, value: meanOf(isGross ? momentsOf(seen.counter.counts.total) : seen.claimed) },
    bound: limit,
    counts,
    detail: describeSeen(seen, limit, isGross, claim),
  };
}

function describeDays({ blocks, meanDay }: DayEvidence, max: number): string {
  const { mean, lower, upper } = meanDay;
  const range = `${rounded(Math.max(0, lower))}..${rounded(upper)}`;
  return `mean difference ${rounded(mean!)} (${range}) over ${daysIn(blocks)} whole days, limit ${max}`;
}

function describeSeen(
  { counter, blocks, claimed }: KeyEvidence,
  limit: Verdict['bound'],
  isGross: boolean,
  claim: DisagreementClaim,
): string {
  const paired = counter.counts;
  if (paired.total.keys === 0) return 'no request was scored by both arms';
  const overDays = blocks.length > 0 && !isGross && claim !== 'hours-seen' && claim !== 'not-gross';
  const { count, sum } = overDays ? claimed : momentsOf(paired.total);
  const span = overDays ? counted(daysIn(blocks), 'whole day') : `the ${counted(hoursOf(paired), 'hour')} seen`;
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
  days: DayEvidence,
  { counter, claimed, blocks, limit }: KeyEvidence,
  task: Task,
  claim: DisagreementClaim,
): string {
  if (counter.counts.total.keys === 0) return `paired traffic: at least ${spec.minKeys} keys`;
  if (claim === 'mean-day') return whatResolvesDays(spec, days);
  if (claim === 'days-seen' && blocks.length === 0) return 'a whole day of traffic';
  const largest = LARGEST_DIFFERENCE[task](spec.max);
  const { count, sum, sumSquares } = claimed;
  const at = (factor: number): number =>
    logBelow({ count: count * factor, sum: sum * factor, sumSquares: sumSquares * factor }, limit.value, largest);
  const factor = growthToSettle(at, spec.alpha * counter.alphaShare);
  if (factor === null) return 'the mean is above the limit or too near to it: a longer step, or another limit';
  return `about ${roundedUp(Math.max(spec.minKeys - count, count * (factor - 1), 1))} more paired keys`;
}

/** Days to come are taken to be like those seen. */
function whatResolvesDays(spec: DisagreementCheckSpec, { blocks, meanDay }: DayEvidence): string {
  const count = blocks.length;
  if (count < MIN_WHOLE_DAYS) return counted(MIN_WHOLE_DAYS - count, 'more whole day');
  const means = blocks.map(({ keys, sumAbsDifference }) => sumAbsDifference / keys);
  const variance = means.reduce((sum, mean) => sum + (mean - meanDay.mean!) ** 2, 0) / count;
  const gap = Math.abs(spec.max - meanDay.mean!);
  for (let more = 1; more <= 100; more += 1)
    if (halfWidth(count + more, variance * (count + more), spec.alpha * (1 - GROSS_SHARE)) < gap)
      return `about ${counted(more, 'more whole day')}`;
  return 'the mean is too near the limit: a longer step, or another limit';
}
