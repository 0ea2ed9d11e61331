import type { QualityCheckSpec } from '../spec';
import type { Verdict } from '../verdict';
import { fromLog, growthToSettle } from './e-values';
import { LARGEST_DAY_ADVANTAGE, advantageOf, logCapitalAbove, logCapitalBelow, type PairedDay } from './paired-days';

/** Bets need room beyond the margin. */
export function dayLimitOf(spec: Pick<QualityCheckSpec, 'margin'>): number {
  return Math.max(LARGEST_DAY_ADVANTAGE, 3 * spec.margin);
}

/**
 * Whether the challenger is better than the champion (`require: better`), or at most `margin` worse, on matured labels of the
 * same rows. `days` are matured, distinct, in order; each new one may be judged at once: `pass` and `fail` are each wrong in at
 * most `spec.alpha` of rollouts. Fail: shown to be worse by more than `margin`.
 */
export function judgeQuality(spec: QualityCheckSpec, days: readonly PairedDay[]): Verdict {
  const advantages = days.map(advantageOf);
  const limit = dayLimitOf(spec);
  const goal = spec.require === 'better' ? 0 : -spec.margin;
  const logGood = logCapitalAbove(advantages, goal, limit);
  const logBad = logCapitalBelow(advantages, -spec.margin, limit);
  const bar = Math.log(1 / spec.alpha);
  const enough = days.length >= spec.minDays;
  const outcome = logBad >= bar ? 'fail' : logGood >= bar && enough ? 'pass' : 'inconclusive';
  const mean = days.length > 0 ? advantages.reduce((sum, x) => sum + x, 0) / days.length : null;
  return {
    check: 'quality',
    outcome,
    statistic:
      outcome === 'fail' ? evidence('e-value of worse', logBad) : evidence(`e-value of ${spec.require}`, logGood),
    bound: { name: '1/alpha', value: 1 / spec.alpha },
    counts: {
      days: days.length,
      rows: days.reduce((sum, day) => sum + day.rows, 0),
      daysBetter: advantages.filter((x) => x > 0).length,
    },
    detail: describe(spec, days.length, mean),
    resolves: outcome === 'inconclusive' ? whatResolves(spec, advantages, goal, limit) : '',
  };
}

function evidence(name: string, logValue: number): Verdict['statistic'] {
  return { name, value: fromLog(logValue) };
}

function describe(spec: QualityCheckSpec, days: number, mean: number | null): string {
  if (mean === null) return 'no day with matured labels of both arms yet';
  const side = mean >= 0 ? 'less' : 'more';
  return `challenger has ${(Math.abs(mean) * 100).toFixed(2)} % ${side} ${spec.metric} than the champion over ${days} matured days`;
}

function whatResolves(spec: QualityCheckSpec, advantages: readonly number[], goal: number, limit: number): string {
  const days = advantages.length;
  if (days === 0) return `matured labels: at least ${spec.minDays} days`;
  const at = (times: number): number =>
    Math.max(logCapitalAbove(advantages, goal, limit, times), logCapitalBelow(advantages, -spec.margin, limit, times));
  const factor = growthToSettle(at, spec.alpha);
  if (factor === null) return 'the arms are too alike to tell on matured labels';
  return `about ${Math.max(1, spec.minDays - days, Math.ceil(days * (factor - 1)))} more matured days`;
}
