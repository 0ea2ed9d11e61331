import type { PairedCounts } from '../observation';
import type { DisagreementCheckSpec, Task } from '../spec';
import type { Verdict } from '../verdict';
import { logMeanAbove, logMeanBelow, type Moments } from './bounded-mean';
import { fromLog, growthToSettle, roundedUp } from './e-values';

/** Largest difference of two scores that a pass assumes: that of two probabilities, or for regression so many times `max`. */
const LARGEST_DIFFERENCE: Readonly<Record<Task, (max: number) => number>> = {
  binary: () => 1,
  regression: (max) => 50 * max,
};

/**
 * Whether both arms' scores differ by more than `spec.max` in the mean over assignment keys. `fail` and `pass` are each wrong
 * in at most `spec.alpha` of rollouts however often this is called. A challenger that differs is not shown to be worse: this
 * takes back what cannot be the same model mended, before labels exist.
 */
export function judgeDisagreement(spec: DisagreementCheckSpec, paired: PairedCounts, task: Task): Verdict {
  const moments: Moments = {
    count: paired.keys,
    sum: paired.sumAbsDifference,
    sumSquares: paired.sumSquaredDifference,
  };
  const limit = LARGEST_DIFFERENCE[task](spec.max);
  const logAbove = logMeanAbove(moments, spec.max);
  const logBelow = logMeanBelow(moments, spec.max, limit);
  const bar = Math.log(1 / spec.alpha);
  const enough = paired.keys >= spec.minKeys;
  const outcome = logAbove >= bar ? 'fail' : logBelow >= bar && enough ? 'pass' : 'inconclusive';
  const mean = paired.keys > 0 ? paired.sumAbsDifference / paired.keys : null;
  return {
    check: 'disagreement',
    outcome,
    statistic: { name: 'mean |challenger - champion|', value: mean },
    bound: { name: 'max', value: spec.max },
    counts: { keys: paired.keys },
    detail: `${describeMean(mean, paired.keys)}, at most ${spec.max} allowed (${describeEvidence(logAbove, logBelow, spec.alpha)})`,
    resolves: outcome === 'inconclusive' ? whatResolves(spec, moments, limit) : '',
  };
}

function describeMean(mean: number | null, keys: number): string {
  return mean === null
    ? 'no request was scored by both arms'
    : `mean difference ${mean.toPrecision(3)} over ${keys} keys`;
}

function describeEvidence(logAbove: number, logBelow: number, alpha: number): string {
  const [side, value] = logAbove > logBelow ? ['more', logAbove] : ['less', logBelow];
  const evidence = fromLog(value);
  const shown = evidence > 1e6 ? 'over a million' : String(Number(evidence.toPrecision(3)));
  return `evidence for ${side}: ${shown}, settled at ${Number((1 / alpha).toPrecision(3))}`;
}

function whatResolves(spec: DisagreementCheckSpec, moments: Moments, limit: number): string {
  if (moments.count === 0) return `paired traffic: at least ${spec.minKeys} keys`;
  const at = (factor: number): number => {
    const grown = { count: moments.count * factor, sum: moments.sum * factor, sumSquares: moments.sumSquares * factor };
    return Math.max(logMeanAbove(grown, spec.max), logMeanBelow(grown, spec.max, limit));
  };
  const factor = growthToSettle(at, spec.alpha);
  if (factor === null) return 'the mean is too near the bound: a longer step, or another bound';
  return `about ${roundedUp(Math.max(spec.minKeys - moments.count, moments.count * (factor - 1), 1))} more paired keys`;
}
