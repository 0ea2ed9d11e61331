import type { Envelope } from './domain/envelope';
import type { ErrorCode } from './domain/errors';
import type { ModelName } from './domain/names';
import type { ReleaseRef } from './domain/release';
import type { ArmName, RouteState } from './domain/route';
import type { Rollout } from './domain/rollout';
import type { Clock } from './domain/spec';
import type { Verdict } from './domain/verdict';
import type { StoryLine } from './story';

export type { Receipt } from './lifecycle.messages';

/** Workflow type, by the name of its exported function. */
export const DEPLOYMENT = 'deployment';

/** Also the input of continue-as-new: bounded plain JSON. The truth about routes is the store's; this is what is in progress. */
export interface DeploymentInput {
  readonly model: ModelName;
  /** Admitted releases whose rollout the last run had not begun, oldest first, at most MAX_QUEUED_RELEASES. */
  readonly queue: readonly QueuedRelease[];
  /** Ids of updates seen, newest last, at most MAX_SEEN_IDS: Temporal forgets them at continue-as-new. */
  readonly seen: readonly SeenUpdate[];
  /** How the last rollouts ended, for whoever opens the run in the Temporal UI; at most MAX_CARRIED_LINES. */
  readonly ended?: readonly StoryLine[];
  /** What the last run knew, for whoever asks before this one has read the store; nothing is decided by it. */
  readonly known?: Pick<DeploymentStatus, 'generation' | 'champion' | 'previousChampion' | 'state'>;
  /** Divides every activity time-out (chaos tests). Default 1. */
  readonly timeoutDivisor?: number;
}

export const MAX_QUEUED_RELEASES = 20;
export const MAX_SEEN_IDS = 200;
export const MAX_CARRIED_LINES = 5;

/** A release handed over by a lifecycle, or by an operator (`run` null). */
export interface QueuedRelease {
  readonly id: string;
  readonly release: ReleaseRef;
  readonly run: string | null;
  readonly actor: string;
}

/** What was answered to an update, so that one sent again after continue-as-new gets the same answer. */
export interface SeenUpdate {
  readonly id: string;
  readonly accepted: boolean;
  readonly code: ErrorCode | null;
}

/**
 * Hand-over by a lifecycle (update id: the release's digest) and every operator command (update id: the command's nonce). Both
 * carry a signed `CommandDocument`, whose action says which of `COMMAND_ACTIONS` it is. Arguments by action:
 * `release` {release: ReleaseRef, run: string | null}; `divert` {release: ReleaseRef}; `abort` {release?: ReleaseRef};
 * `rollback` `pause` `resume` `skipStep` `promoteNow` `freeze` `unfreeze` `retire` {reason?: string}.
 */
export const releaseUpdate = 'release';
export const commandUpdate = 'command';
export const statusQuery = 'status';

export type ReleaseArgs = [Envelope];
export type CommandArgs = [Envelope];

export interface DeploymentStatus {
  readonly model: ModelName;
  readonly generation: number;
  readonly champion: ReleaseRef | null;
  readonly previousChampion: ReleaseRef | null;
  readonly frozen: boolean;
  readonly state: RouteState;
  /** What keeps the deployment from acting until a person looks; null in health. */
  readonly halted: string | null;
  /** Releases that wait for the rollout in progress, or for `unfreeze`. */
  readonly queued: readonly ReleaseRef[];
  readonly rollout:
    | (Pick<Rollout, 'id' | 'release' | 'run'> & {
        readonly step: number;
        readonly steps: number;
        /** How long the step takes, in the rollout's clock. */
        readonly stepMs: number;
        readonly clock: Clock;
        readonly weights: Readonly<Partial<Record<ArmName, number>>>;
        readonly paused: boolean;
        /** What needs an operator's decision before it goes on; null in health. */
        readonly waitsFor: string | null;
        readonly verdicts: readonly Verdict[];
      })
    | null;
  readonly story: readonly { readonly at: string; readonly text: string }[];
}
