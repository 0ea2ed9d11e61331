import { CancellationScope } from '@temporalio/workflow';
import type { Digest } from './domain/digest';
import type { ReleaseRef } from './domain/release';
import type { Rollout, RolloutEnded, RolloutOutcome } from './domain/rollout';
import { planSteps } from './domain/rollout-steps';
import type { AssignmentSpec, RolloutSpec, RolloutStep } from './domain/spec';
import type { Verdict } from './domain/verdict';
import type { DeploymentStatus } from './deployment.messages';

/** Why and by whom a rollout was ended from outside. */
export interface Stop {
  readonly outcome: RolloutOutcome;
  readonly reason: string;
  readonly actor: string;
}

/** Why something is undone, for the audit log. */
export type RolloutUndo = Pick<Stop, 'reason' | 'actor'>;

/** The release in hand, and the run that waits for its end: it may hand over what an operator handed over before it. */
export interface HandOver {
  readonly release: ReleaseRef;
  run: string | null;
  /** Set when the run is told: one that comes after that is told by whoever takes it. */
  end: Pick<RolloutEnded, 'outcome' | 'detail'> | null;
}

/** A release that is being verified before its rollout: a command ends that as it ends a rollout, however long it would be tried. */
export class RolloutPreparation {
  readonly scope = new CancellationScope();
  stop: Stop | null = null;

  constructor(readonly handOver: HandOver) {}

  end(stop: Stop): void {
    this.stop ??= stop;
    this.scope.cancel();
  }
}

/** One rollout in progress: commands change it, its loop acts on it. */
export class RolloutProgress {
  /** With the bake as its last step. */
  readonly rollout: Rollout;
  readonly steps: readonly RolloutStep[];
  /** As the user wrote it. */
  readonly spec: RolloutSpec;
  readonly scope = new CancellationScope();
  /** Generations that sent traffic to the challenger, oldest first. */
  readonly generations: number[] = [];
  readonly compensations: { readonly what: string; readonly undo: (why: RolloutUndo) => Promise<void> }[] = [];
  step = 0;
  challengerWeight = 0;
  paused = false;
  /** An operator ends the step. */
  skip = false;
  /** The step that was decided last: who would skip it comes too late, and must not skip the next one. */
  decidedStep: number | null = null;
  /** An operator promotes without waiting. */
  promote = false;
  /** Event time up to which requests were answered at the last report; null before the first. */
  watermarkMs: number | null = null;
  /** What needs an operator's decision before the rollout goes on; null in health. */
  waitsFor: string | null = null;
  stop: Stop | null = null;
  takeBackAgain = false;
  canaryVerdicts: readonly Verdict[] = [];
  qualityVerdict: Verdict | null = null;
  evidence: readonly Digest[] = [];

  constructor(
    rollout: Rollout,
    readonly assignment: AssignmentSpec,
    readonly handOver: HandOver,
  ) {
    this.spec = rollout.spec;
    this.steps = planSteps(rollout.spec);
    this.rollout = { ...rollout, spec: { ...rollout.spec, steps: this.steps } };
  }

  get verdicts(): readonly Verdict[] {
    return this.qualityVerdict ? [...this.canaryVerdicts, this.qualityVerdict] : this.canaryVerdicts;
  }

  get qualityPassed(): boolean {
    return this.qualityVerdict?.outcome === 'pass';
  }

  /** Ends the rollout now, whatever it waits for; one that could not be taken back is tried again. */
  end(stop: Stop): void {
    this.stop ??= stop;
    this.takeBackAgain = true;
    this.scope.cancel();
  }

  status(): NonNullable<DeploymentStatus['rollout']> {
    const { id, release } = this.rollout;
    return {
      ...{ id, release, run: this.handOver.run },
      step: this.step,
      steps: this.steps.length,
      stepMs: this.steps[this.step]?.forMs ?? 0,
      clock: this.rollout.clock,
      weights: { champion: 1 - this.challengerWeight, challenger: this.challengerWeight },
      paused: this.paused,
      waitsFor: this.waitsFor,
      verdicts: this.verdicts,
    };
  }
}
