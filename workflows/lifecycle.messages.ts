import type { Envelope } from './domain/envelope';
import type { ErrorCode } from './domain/errors';
import type { ReleaseRef } from './domain/release';
import type { Digest } from './domain/digest';
import type { RolloutEnded } from './domain/rollout';
import type { RunOutcome, RunRequest, RunResult, Stage } from './domain/run';
import type { GateResult } from './domain/verdict';
import type { RecordedApproval } from './domain/approval';

/** Workflow type, by the name of its exported function. */
export const LIFECYCLE = 'lifecycle';

/** Bounded: the spec travels as a digest. `command` is the signed `run` command whose args name this run. */
export interface LifecycleInput {
  readonly request: RunRequest;
  readonly command: Envelope;
  /** Divides every activity time-out (chaos tests). Default 1. */
  readonly timeoutDivisor?: number;
}

/** Arguments of the signed `run` command: its signature covers the whole request by digest (of its canonical JSON). */
export interface RunCommandArgs {
  readonly run: string;
  readonly request: Digest;
}

/** Arguments of the signed `cancelRun` command. */
export interface CancelRunCommandArgs {
  readonly run: string;
  readonly reason: string;
}

export type LifecycleResult = RunResult;

/** Same payload by update and by signal: an envelope of an `ApprovalDocument` whose decision says which of the two it is. */
export const approveUpdate = 'approve';
export const rejectUpdate = 'reject';
export const approveSignal = 'approveSignal';
export const rejectSignal = 'rejectSignal';
export const cancelRunUpdate = 'cancelRun';
export const rolloutEndedSignal = 'rolloutEnded';
export const statusQuery = 'status';

export type Receipt =
  | { readonly accepted: true; readonly detail: string }
  | { readonly accepted: false; readonly code: ErrorCode; readonly detail: string };

export type ApproveArgs = [Envelope];
export type CancelRunArgs = [Envelope];
export type RolloutEndedArgs = [RolloutEnded];

export interface LifecycleStatus {
  readonly model: string;
  readonly run: string;
  readonly stage: Stage;
  readonly detail: string;
  /** How it ended, and the last stage that it came to; null while it runs. Absent in what an older worker answers. */
  readonly ended?: { readonly outcome: RunOutcome; readonly stage: Stage } | null;
  readonly release: ReleaseRef | null;
  /** What an approval must name. */
  readonly evidence: Digest | null;
  readonly gates: readonly GateResult[];
  readonly approvals: readonly RecordedApproval[];
  readonly approvalsRequired: number;
  readonly approvalDeadline: string | null;
  /** Newest last, at most 50 lines. */
  readonly story: readonly { readonly at: string; readonly text: string }[];
}
