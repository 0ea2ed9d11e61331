import { upsertSearchAttributes } from '@temporalio/workflow';
import { activitiesOf, type Summarised } from './activity-presets';
import type { RecordedApproval } from './domain/approval';
import type { Digest } from './domain/digest';
import type { Envelope } from './domain/envelope';
import { SEARCH_ATTRIBUTES, TASK_QUEUES } from './domain/names';
import type { ReleaseRef } from './domain/release';
import type { RolloutEnded } from './domain/rollout';
import type { RunPlan, RunRequest, Stage } from './domain/run';
import type { GateResult } from './domain/verdict';
import { reportFailure, rethrowDefects } from './failures';
import { Inbox } from './inbox';
import type {
  LifecycleComputeActivities,
  LifecycleControlActivities,
  TrainingActivities,
} from './lifecycle.activities';
import { describeRun } from './lifecycle-details';
import type { LifecycleInput, LifecycleStatus } from './lifecycle.messages';
import { setKeyword } from './search-attributes';
import { Story } from './story';

/** For reading the snapshot and writing the result, so that the trainer's own limit ends it first and says so. */
const TRAINING_SLACK_MS = 5 * 60_000;

export type MessageKind = 'approve' | 'reject' | 'cancelRun';

/** What approvals are for. `open` until the decision. */
export interface Candidate {
  readonly release: ReleaseRef;
  readonly evidence: Digest;
  readonly open: boolean;
  readonly deadline: string;
}

/** Everything one run of the lifecycle knows, and the activities it calls. */
export class LifecycleRun {
  readonly request: RunRequest;
  readonly command: Envelope;
  readonly inbox = new Inbox<MessageKind>();
  readonly story: Story;
  readonly approvals: RecordedApproval[] = [];
  readonly control: Summarised<LifecycleControlActivities>;
  readonly irreversible: Summarised<
    Pick<LifecycleControlActivities, 'registerRelease' | 'handOver' | 'withdrawRelease'>
  >;
  readonly compute: Summarised<Omit<LifecycleComputeActivities, 'judgeGates'>>;
  /** Light, but needs no control key. */
  readonly judging: Summarised<Pick<LifecycleComputeActivities, 'judgeGates'>>;

  stage: Stage = 'admitting';
  detail = '';
  ended: NonNullable<LifecycleStatus['ended']> | null = null;
  plan: RunPlan | null = null;
  gates: readonly GateResult[] = [];
  candidate: Candidate | null = null;
  rolloutEnded: RolloutEnded | null = null;
  cancelledBy: string | null = null;
  /** A message is being decided; whoever ends a wait lets it finish first. */
  deciding = false;

  release: ReleaseRef | null = null;
  /** Pushed before the step that each undoes. */
  readonly compensations: { readonly what: string; readonly undo: () => Promise<void> }[] = [];
  /** The end is recorded: what still arrives is refused. */
  closed = false;

  constructor(private readonly input: LifecycleInput) {
    const divisor = input.timeoutDivisor ?? 1;
    this.request = input.request;
    this.command = input.command;
    this.control = activitiesOf('storeCall', { divisor });
    this.irreversible = activitiesOf('irreversible', { divisor });
    this.compute = activitiesOf('dataJob', { divisor, queue: TASK_QUEUES.compute });
    this.judging = activitiesOf('storeCall', { divisor, queue: TASK_QUEUES.compute });
    this.story = new Story(() => describeRun(this.status(), this.request, this.plan));
  }

  training(plan: RunPlan): Summarised<TrainingActivities> {
    const divisor = this.input.timeoutDivisor ?? 1;
    return activitiesOf('trainingJob', {
      divisor,
      queue: plan.trainingQueue,
      startToCloseMs: plan.trainingTimeoutMs + TRAINING_SLACK_MS,
    });
  }

  /** Says what the run does now, wherever people look. */
  enter(stage: Stage, detail: string): void {
    this.stage = stage;
    this.detail = detail;
    upsertSearchAttributes([setKeyword(SEARCH_ATTRIBUTES.stage, stage)]);
    this.story.tell(detail);
  }

  /** In reverse; one that fails is told and does not keep the others from running. */
  async compensate(): Promise<void> {
    for (const { what, undo } of this.compensations.reverse()) {
      try {
        await undo();
        this.story.tell(`Done to ${what}`);
      } catch (error) {
        rethrowDefects(error);
        this.story.tell(`Could not ${what}: ${reportFailure(error).detail}`);
      }
    }
  }

  close(): void {
    this.closed = true;
    if (this.candidate) this.candidate = { ...this.candidate, open: false };
  }

  status(): LifecycleStatus {
    return {
      model: this.request.model,
      run: this.request.run,
      stage: this.stage,
      detail: this.detail,
      ended: this.ended,
      release: this.release,
      evidence: this.candidate?.evidence ?? null,
      gates: this.gates,
      approvals: this.approvals,
      approvalsRequired: this.plan?.approvalsRequired ?? 0,
      approvalDeadline: this.candidate?.deadline ?? null,
      story: this.story.lines,
    };
  }
}
