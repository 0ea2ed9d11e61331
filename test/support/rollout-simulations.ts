import { logMeanAbove, logMeanBelow } from '../../workflows/domain/statistics/bounded-mean';
import { compareErrorRates, type KeyCounts } from '../../workflows/domain/statistics/error-rates';
import type { PairedDay } from '../../workflows/domain/statistics/paired-days';
import { judgeQuality } from '../../workflows/domain/statistics/quality-verdict';
import { normalFrom, type RandomSource } from '../../workflows/domain/statistics/random';
import type { QualityCheckSpec } from '../../workflows/domain/spec';
import type { Outcome } from '../../workflows/domain/verdict';

/** Simulated rollouts behind the figures of docs/rollouts.md; alpha is 0.05. */
const BAR = Math.log(20);

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

/** Keys until the mean of skewed differences is shown to be above, or below, the bound. */
export function pairsUntil(
  random: RandomSource,
  { mean, bound, keys }: { readonly mean: number; readonly bound: number; readonly keys: number },
): Readonly<Record<'fail' | 'pass', number | null>> {
  const found: Record<'fail' | 'pass', number | null> = { fail: null, pass: null };
  let [sum, sumSquares] = [0, 0];
  for (let count = 1; count <= keys; count += 1) {
    const difference = Math.min(1, (-(Math.log(1 - random()) + Math.log(1 - random())) * mean) / 2);
    sum += difference;
    sumSquares += difference * difference;
    const moments = { count, sum, sumSquares };
    if (sum > count * bound) {
      if (found.fail === null && logMeanAbove(moments, bound) >= BAR) found.fail = count;
    } else if (found.pass === null && logMeanBelow(moments, bound, 1) >= BAR) found.pass = count;
  }
  return found;
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
