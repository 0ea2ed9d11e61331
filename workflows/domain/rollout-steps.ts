import type { ReleaseRef } from './release';
import type { Arm } from './route';
import type { CanaryReport, QualityReport } from './rollout';
import type { RolloutSpec, RolloutStep } from './spec';
import { combineOutcomes, type Outcome, type Verdict } from './verdict';

/** The steps a rollout takes: the spec's, then the bake, at which the challenger serves everything while the champion stands by. */
export function planSteps(spec: RolloutSpec): RolloutStep[] {
  return spec.bakeMs > 0 ? [...spec.steps, { weight: 1, forMs: spec.bakeMs }] : [...spec.steps];
}

/** Arms of a canary step. */
export function splitTraffic(champion: ReleaseRef, challenger: ReleaseRef, weight: number): Arm[] {
  return [
    { name: 'champion', release: champion, weight: 1 - weight },
    { name: 'challenger', release: challenger, weight },
  ];
}

export function serveOnly(release: ReleaseRef): Arm[] {
  return [{ name: 'champion', release, weight: 1 }];
}

/** Paired quality must be settled before the bake. `spec` is as the user wrote it: its steps do not include the bake. */
export function needsQuality(spec: RolloutSpec, step: number): boolean {
  return spec.quality !== null && step >= spec.steps.length - 1;
}

/** What one watch of a step means. `again`: the step is not over. */
export type StepDecision = 'take-back' | 'lost' | 'again' | 'next' | 'extend' | 'inconclusive';

export interface StepEvidence {
  /** Null: the watch was ended before it reported. */
  readonly canary: CanaryReport | null;
  readonly quality: QualityReport | null;
  readonly qualityNeeded: boolean;
  readonly extensionsLeft: number;
}

/**
 * A fail takes the challenger back whatever else was seen; a step that is over goes on only when everything that it needs passed, and
 * what was not measured never counts as good (invariant I5).
 */
export function decideStep({ canary, quality, qualityNeeded, extensionsLeft }: StepEvidence): StepDecision {
  if (canary?.reason === 'generation-lost') return 'lost';
  if (canary?.reason === 'breaker' || quality?.verdict.outcome === 'fail') return 'take-back';
  const seen = canaryOutcome(canary);
  if (seen === 'fail') return 'take-back';
  if (canary?.reason !== 'step-over') return 'again';
  const qualityPassed = !qualityNeeded || quality?.verdict.outcome === 'pass';
  if (seen === 'pass' && qualityPassed) return 'next';
  return extensionsLeft > 0 ? 'extend' : 'inconclusive';
}

export function canaryOutcome(canary: CanaryReport | null): Outcome {
  return combineOutcomes((canary?.verdicts ?? []).map((verdict) => verdict.outcome));
}

/** One line for people: each verdict's own sentence, what stands against it first. */
export function explainVerdicts(verdicts: readonly Verdict[]): string {
  if (verdicts.length === 0) return 'nothing was measured';
  const order: readonly Outcome[] = ['fail', 'inconclusive', 'pass'];
  const sorted = [...verdicts].sort((a, b) => order.indexOf(a.outcome) - order.indexOf(b.outcome));
  return sorted.map((verdict) => `${verdict.check} ${verdict.outcome}: ${verdict.detail}`).join('; ');
}
