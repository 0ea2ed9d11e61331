import type { EvidenceDocument, ScorerMetrics } from './run';
import type { ServingSpec } from './serving';
import { HIGHER_IS_BETTER } from './spec';
import type { GateSpec, MetricName } from './spec';
import type { GateResult } from './verdict';

type Evidence = Pick<
  EvidenceDocument,
  'metrics' | 'champion' | 'compatibility' | 'calibration' | 'candidateUnscored' | 'championUnscored'
>;
type Gate<Kind extends GateSpec['kind']> = Extract<GateSpec, { readonly kind: Kind }>;

const NO_METRICS: ScorerMetrics = { candidate: null, baseline: null, champion: null, advantageLowerBound: null };

/** Applies each gate of a spec to the evidence. What cannot be measured does not pass (invariant I5). */
export function judgeGates(gates: readonly GateSpec[], evidence: Evidence): GateResult[] {
  return gates.map((gate) => {
    switch (gate.kind) {
      case 'threshold':
        return judgeThreshold(gate, metricsOf(evidence, gate.metric), evidence);
      case 'baseline':
        return judgeBaseline(gate, metricsOf(evidence, gate.metric), evidence);
      case 'champion':
        return judgeChampion(gate, metricsOf(evidence, gate.metric), evidence);
      case 'compatible':
        return judgeCompatible(evidence);
    }
  });
}

/** What a spec says of serving and the model cannot do is found here, and not by callers: people see it before they approve. */
export function judgePromises({ calibration }: ServingSpec, evidence: Evidence): GateResult[] {
  if (calibration !== 'always') return [];
  const { map = null, reason = 'nothing was fitted for it' } = evidence.calibration ?? {};
  const base = { gate: 'calibrated', value: null, bound: null };
  if (map !== null) return [{ ...base, outcome: 'pass', detail: `Every answer can be calibrated: ${reason}.` }];
  const detail = `serving.calibration is always, and there is no map: ${reason}.`;
  return [{ ...base, outcome: 'fail', detail }];
}

function metricsOf(evidence: Evidence, metric: MetricName): ScorerMetrics {
  return evidence.metrics[metric] ?? NO_METRICS;
}

function judgeThreshold(
  { metric, min, max }: Gate<'threshold'>,
  { candidate }: ScorerMetrics,
  evidence: Evidence,
): GateResult {
  const gate = `threshold ${metric}`;
  const bound = min ?? max;
  if (candidate === null)
    return notMeasurable(
      gate,
      bound,
      evidence.candidateUnscored ?? `${metric} of the candidate cannot be measured on this holdout.`,
    );
  if (bound === null)
    return notMeasurable(gate, null, `${metric} has neither a smallest nor a largest value to hold it against.`);
  const broken = min !== null && candidate < min ? min : max !== null && candidate > max ? max : null;
  if (broken === null)
    return {
      gate,
      outcome: 'pass',
      value: candidate,
      bound,
      detail: `${metric} ${text(candidate)}; asked for ${limits(min, max)}.`,
    };
  return {
    gate,
    outcome: 'fail',
    value: candidate,
    bound: broken,
    detail: `${metric} ${text(candidate)}; asked for ${limits(min, max)}.`,
  };
}

function judgeBaseline(
  { metric, by }: Gate<'baseline'>,
  { candidate, baseline }: ScorerMetrics,
  evidence: Evidence,
): GateResult {
  const gate = `baseline ${metric}`;
  if (candidate === null || baseline === null)
    return notMeasurable(
      gate,
      by,
      evidence.candidateUnscored ??
        `${metric} of the candidate or of the training mean cannot be measured on this holdout.`,
    );
  const advantage = HIGHER_IS_BETTER[metric] ? candidate - baseline : baseline - candidate;
  const detail = `${metric} ${text(candidate)} against ${text(baseline)} of predicting the training mean: better by ${text(advantage)}, asked for ${text(by)}.`;
  return { gate, outcome: advantage >= by ? 'pass' : 'fail', value: advantage, bound: by, detail };
}

/**
 * Without a champion there is nothing to be worse than, which is known and not a lack of data: it passes. A champion that is there and could
 * not be compared with does not.
 */
function judgeChampion(
  { metric, margin, confidence }: Gate<'champion'>,
  metrics: ScorerMetrics,
  evidence: Evidence,
): GateResult {
  const gate = `champion ${metric}`;
  if (evidence.champion === null)
    return { gate, outcome: 'pass', value: null, bound: -margin, detail: 'First release: no champion serves yet.' };
  if (metrics.candidate === null || metrics.champion === null || metrics.advantageLowerBound === null) {
    return notMeasurable(
      gate,
      -margin,
      evidence.candidateUnscored ??
        evidence.championUnscored ??
        `${metric} cannot be compared with release ${evidence.champion.version}: the holdout has too few days or labels of one kind.`,
    );
  }
  const value = metrics.advantageLowerBound;
  const least = value >= 0 ? `better by at least ${text(value)}` : `worse by up to ${text(-value)}`;
  const asked = margin === 0 ? 'it must not be worse' : `it may be worse by up to ${text(margin)}`;
  const detail =
    `${metric} ${text(metrics.candidate)} against ${text(metrics.champion)} of release ${evidence.champion.version}: ` +
    `${least} at ${text(100 * confidence)} % confidence over days; ${asked}.`;
  return { gate, outcome: value >= -margin ? 'pass' : 'fail', value, bound: -margin, detail };
}

function judgeCompatible({ compatibility, champion }: Evidence): GateResult {
  const gate = 'compatible';
  const value = compatibility.length;
  if (value > 0)
    return { gate, outcome: 'fail', value, bound: 0, detail: `Callers would break: ${compatibility.join('; ')}.` };
  const detail =
    champion === null
      ? 'First release: nobody calls the model yet.'
      : `Callers of release ${champion.version} can keep sending what they send.`;
  return { gate, outcome: 'pass', value, bound: 0, detail };
}

function notMeasurable(gate: string, bound: number | null, detail: string): GateResult {
  return { gate, outcome: 'not-measurable', value: null, bound, detail };
}

function limits(min: number | null, max: number | null): string {
  return [...(min === null ? [] : [`at least ${text(min)}`]), ...(max === null ? [] : [`at most ${text(max)}`])].join(
    ' and ',
  );
}

function text(value: number): string {
  return String(Number(value.toPrecision(4)));
}
