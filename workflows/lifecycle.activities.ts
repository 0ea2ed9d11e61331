import type { Digest } from './domain/digest';
import type { Envelope } from './domain/envelope';
import type { ErrorCode } from './domain/errors';
import type { ReleaseRef } from './domain/release';
import type {
  EvaluateResult,
  IngestResult,
  JudgedGates,
  RunOutcome,
  RunPlan,
  RunRequest,
  TrainResult,
} from './domain/run';
import type { RecordedApproval } from './domain/approval';

/** Light work on the control queue. */
export interface LifecycleControlActivities {
  /**
   * Verifies the signed command (its args are `RunCommandArgs`; role trainer, or control for the causes drift and schedule), audits the start (or the refusal), writes the request.
   * Throws a catalogue code when refused.
   */
  admitRun(input: { request: RunRequest; command: Envelope }): Promise<RunPlan>;
  /** Allocates the next version, signs, writes. The same run gets the same release again. */
  registerRelease(input: RegisterInput): Promise<ReleaseRef>;
  /** Verifies one approval or rejection that arrived and records it, or audits why not. */
  recordApproval(input: RecordApprovalInput): Promise<ApprovalReceipt>;
  recordApprovalExpiry(input: { request: RunRequest; release: ReleaseRef; missing: number }): Promise<void>;
  /** Verifies a signed `cancelRun`. `delivery` as in `admitCommand`. */
  admitCancel(input: {
    request: RunRequest;
    command: Envelope;
    delivery?: string;
  }): Promise<{ accepted: true; actor: string } | { accepted: false; code: ErrorCode; detail: string }>;
  /** Update-with-start of the model's deployment with a `release` command signed by the control key; the release digest is the update id. */
  handOver(input: {
    request: RunRequest;
    release: ReleaseRef;
  }): Promise<{ accepted: boolean; code?: ErrorCode; detail: string }>;
  /** Compensation of `handOver`: takes the release out of the deployment's queue, or aborts its rollout. Nothing to take back is no error. */
  withdrawRelease(input: { request: RunRequest; release: ReleaseRef; reason: string }): Promise<void>;
  /** Audits the outcome and writes the run's result. */
  finishRun(input: {
    request: RunRequest;
    outcome: RunOutcome;
    detail: string;
    version: number | null;
    code?: ErrorCode | null;
  }): Promise<void>;
}

export interface RegisterInput {
  readonly request: RunRequest;
  readonly ingest: IngestResult | null;
  readonly training: TrainResult;
  readonly evaluation: EvaluateResult;
  readonly judged: JudgedGates;
  readonly startedBy: string;
  readonly approvalsRequired: number;
}

export interface RecordApprovalInput {
  readonly request: RunRequest;
  readonly release: ReleaseRef;
  readonly evidence: Digest;
  readonly envelope: Envelope;
  readonly startedBy: string;
  readonly recorded: readonly RecordedApproval[];
  /** False once the run waits no longer: the approval is refused as late, and that is audited too. */
  readonly open: boolean;
}

export type ApprovalReceipt =
  | { readonly accepted: true; readonly approval: RecordedApproval }
  | { readonly accepted: false; readonly code: ErrorCode; readonly detail: string };

/** Heavy work on the compute queue. */
export interface LifecycleComputeActivities {
  ingest(input: { request: RunRequest }): Promise<IngestResult>;
  /** Training result of a model that was trained elsewhere: opens it under limits and checks it against its signature. */
  openImported(input: { request: RunRequest }): Promise<TrainResult>;
  evaluate(input: { request: RunRequest; ingest: IngestResult; training: TrainResult }): Promise<EvaluateResult>;
  /** Applies the spec's gates to the evidence; audits them. */
  judgeGates(input: { request: RunRequest; evaluation: EvaluateResult }): Promise<JudgedGates>;
}

/** On the queue that the plan names. Checkpoints; heartbeats its epoch. */
export interface TrainingActivities {
  train(input: { request: RunRequest; ingest: IngestResult }): Promise<TrainResult>;
}
