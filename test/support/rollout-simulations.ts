import type { PairedCounts, PairedWindowRow } from '../../workflows/domain/observation';
import { together } from '../../workflows/domain/statistics/counts-apart';
import { judgeDisagreement, type PairedScores } from '../../workflows/domain/statistics/disagreement-verdict';
import { compareErrorRates, type KeyCounts } from '../../workflows/domain/statistics/error-rates';
import type { PairedDay } from '../../workflows/domain/statistics/paired-days';
import { judgeQuality } from '../../workflows/domain/statistics/quality-verdict';
import { normalFrom, type RandomSource } from '../../workflows/domain/statistics/random';
import { addPairs } from '../../workflows/domain/statistics/whole-days';
import type { DisagreementCheckSpec, QualityCheckSpec } from '../../workflows/domain/spec';
import type { Outcome } from '../../workflows/domain/verdict';

/** Simulated rollouts behind the figures of docs/rollouts.md; alpha is 0.05. */
const BAR = Math.log(20);
const HOUR_MS = 3_600_000;

export interface ErrorRollout {
  /** Rates of keys that meet an error. */
  readonly challenger: number;
  readonly champion: number;
  /** Challenger's share. */
  readonly weight: number;
  readonly margin: number;
  /** Challenger keys at which the rollout ends. */
  readonly keys: number;
}

/** Challenger keys at `fail`, looked at after each of its errors, or at `pass`, looked at each 25 keys; null where neither came. */
export function keysUntil(verdict: 'fail' | 'pass', random: RandomSource, rollout: ErrorRollout): number | null {
  const seen = { champion: { keys: 0, errorKeys: 0 }, challenger: { keys: 0, errorKeys: 0 } };
  while (seen.challenger.keys < rollout.keys) {
    const arm = random() < rollout.weight ? 'challenger' : 'champion';
    const isError = random() < rollout[arm];
    seen[arm].keys += 1;
    if (isError) seen[arm].errorKeys += 1;
    if (arm !== 'challenger') continue;
    const isLook = verdict === 'fail' ? isError && couldFail(seen, rollout.margin) : seen.challenger.keys % 25 === 0;
    if (!isLook) continue;
    const { logWorse, logNotWorse } = compareErrorRates(seen.champion, seen.challenger, rollout.margin);
    if ((verdict === 'fail' ? logWorse : logNotWorse) >= BAR) return seen.challenger.keys;
  }
  return null;
}

/** No likelihood ratio is larger than that of the rates seen: other looks need no computing. */
function couldFail({ champion, challenger }: Record<'champion' | 'challenger', KeyCounts>, margin: number): boolean {
  const edge = Math.min(1, champion.errorKeys / Math.max(1, champion.keys) + margin);
  const rate = challenger.errorKeys / challenger.keys;
  const term = (a: number, b: number): number => (a === 0 ? 0 : a * Math.log(a / b));
  return challenger.keys * (term(rate, edge) + term(1 - rate, 1 - edge)) >= BAR;
}

/** Share of a day's keys, and factor of their difference, by hour: few at night, most alike in the morning, most apart at night. */
const DAILY_PATTERN = Array.from({ length: 24 }, (_, hour) => ({
  keys: hour < 5 ? 0.2 : hour < 22 ? 1.3 : 0.5,
  factor: hour < 5 ? 1.6 : 0.3 + 0.075 * (hour - 5),
}));
const PATTERN_KEYS = DAILY_PATTERN.reduce((sum, { keys }) => sum + keys, 0);
const PATTERN_MEAN = DAILY_PATTERN.reduce((sum, { keys, factor }) => sum + keys * factor, 0) / PATTERN_KEYS;

export interface PatternedRollout {
  /** Of all keys of all days. */
  readonly mean: number;
  readonly keysPerDay: number;
  /** Factor of one day, of mean 1. */
  readonly dayFactor: (random: RandomSource) => number;
  /** Hour of the day at which the rollout begins. */
  readonly startHour: number;
  /** Factor by hour; default: the daily pattern's. */
  readonly factorOf?: (hour: number) => number;
}

/** Paired scores after each hour of a rollout whose traffic has a daily pattern and whose days differ. */
export function* patternedHours(
  random: RandomSource,
  rollout: PatternedRollout,
  days: number,
): Generator<PairedScores> {
  const windows: PairedWindowRow[] = [];
  let total: PairedCounts = { keys: 0, sumAbsDifference: 0, sumSquaredDifference: 0 };
  let dayFactor = rollout.dayFactor(random);
  for (let at = 0; at < 24 * days; at += 1) {
    const hour = (rollout.startHour + at) % 24;
    if (hour === 0) dayFactor = rollout.dayFactor(random);
    const factor = rollout.factorOf?.(hour) ?? DAILY_PATTERN[hour]!.factor / PATTERN_MEAN;
    const keys = Math.floor((DAILY_PATTERN[hour]!.keys / PATTERN_KEYS) * rollout.keysPerDay + random());
    const counts = skewedPairs(random, keys, rollout.mean * factor * dayFactor);
    total = addPairs(total, counts);
    windows.push({ startMs: at * HOUR_MS, ...counts });
    yield { total, windows, untilMs: (at + 1) * HOUR_MS };
  }
}

/** Hours until a verdict, looked at each hour; null where it did not come. */
export function patternedVerdict(
  random: RandomSource,
  spec: DisagreementCheckSpec,
  rollout: PatternedRollout,
  days: number,
): Readonly<Record<'fail' | 'pass', number | null>> {
  let hours = 0;
  let pass: number | null = null;
  for (const paired of patternedHours(random, rollout, days)) {
    hours += 1;
    const { outcome } = judgeDisagreement(spec, paired, [together(paired)], 'binary', 'mean-day');
    if (outcome === 'fail') return { fail: hours, pass };
    if (outcome === 'pass') pass ??= hours;
  }
  return { fail: null, pass };
}

/** Keys until skewed differences are shown to be above the limit for hours, at its share of alpha; null where they are not. */
export function pairsUntilGross(
  random: RandomSource,
  { mean, gross, keys }: { readonly mean: number; readonly gross: number; readonly keys: number },
): number | null {
  const spec: DisagreementCheckSpec = { max: gross / 2, gross, alpha: 0.05, minKeys: 100 };
  let total: PairedCounts = { keys: 0, sumAbsDifference: 0, sumSquaredDifference: 0 };
  while (total.keys < keys) {
    total = addPairs(total, skewedPairs(random, 1, mean));
    const paired: PairedScores = { total, windows: [], untilMs: null };
    const { outcome } = judgeDisagreement(spec, paired, [together(paired)], 'binary', 'mean-day');
    if (outcome === 'fail') return total.keys;
  }
  return null;
}

/** Absolute differences of a skewed shape (a sum of two exponentials), cut at 1. */
export function skewedPairs(random: RandomSource, keys: number, mean: number): PairedCounts {
  let [sumAbsDifference, sumSquaredDifference] = [0, 0];
  for (let key = 0; key < keys; key += 1) {
    const difference = Math.min(1, (-Math.log((1 - random()) * (1 - random())) * mean) / 2);
    sumAbsDifference += difference;
    sumSquaredDifference += difference * difference;
  }
  return { keys, sumAbsDifference, sumSquaredDifference };
}

/** First decided verdict over days whose advantage is normal. */
export function qualityAfter(
  random: RandomSource,
  spec: QualityCheckSpec,
  { days, mean, sd }: { readonly days: number; readonly mean: number; readonly sd: number },
): { readonly outcome: Outcome; readonly days: number } {
  const all: PairedDay[] = Array.from({ length: days }, (_, at) => ({
    day: `day ${at}`,
    rows: 1_000,
    championLoss: 0.5,
    challengerLoss: 0.5 * (1 - (mean + sd * normalFrom(random))),
  }));
  for (let count = spec.minDays; count <= days; count += 1) {
    const { outcome } = judgeQuality(spec, all.slice(0, count));
    if (outcome !== 'inconclusive') return { outcome, days: count };
  }
  return { outcome: 'inconclusive', days };
}
