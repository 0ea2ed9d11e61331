import type { Digest } from './digest';
import type { ModelName } from './names';
import type { ReleaseRef } from './release';
import type { Clock, RolloutSpec } from './spec';
import type { Verdict } from './verdict';

export const ROLLOUT_OUTCOMES = ['promoted', 'rolled-back', 'inconclusive', 'aborted', 'refused'] as const;
export type RolloutOutcome = (typeof ROLLOUT_OUTCOMES)[number];

/** A release on its way to serve, as handed over by a lifecycle or started by an operator. */
export interface Rollout {
  /** Deterministic: `rollout-<release version>-<attempt>`; also the route's salt. */
  readonly id: string;
  readonly release: ReleaseRef;
  /** Run that waits for `rolloutEnded`; null when an operator started it. */
  readonly run: string | null;
  readonly spec: RolloutSpec;
  readonly clock: Clock;
}

/** Why a canary watch returned. */
export type WatchReason = 'verdict' | 'breaker' | 'step-over' | 'generation-lost';

export interface CanaryReport {
  readonly reason: WatchReason;
  readonly verdicts: readonly Verdict[];
  /** Blob of the observations the verdicts were made from. */
  readonly evidence: Digest;
  readonly watermark: string | null;
}

export interface QualityReport {
  readonly verdict: Verdict;
  readonly evidence: Digest;
}

export interface RolloutEnded {
  readonly model: ModelName;
  readonly run: string;
  readonly outcome: RolloutOutcome;
  readonly detail: string;
}

/** Why a value does not tell this run how its rollout ended; undefined where it does. Signals carry whatever somebody typed. */
export function rolloutEndedProblem(value: unknown, run: string): string | undefined {
  if (typeof value !== 'object' || value === null) return 'expected the end of a rollout';
  const { run: named, outcome, detail } = value as Record<string, unknown>;
  if (named !== run) return 'it is for another run';
  if (!(ROLLOUT_OUTCOMES as readonly unknown[]).includes(outcome))
    return `its outcome must be one of ${ROLLOUT_OUTCOMES.join(', ')}`;
  return typeof detail === 'string' ? undefined : 'its detail must be text';
}
