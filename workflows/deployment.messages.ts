import type { Envelope } from './domain/envelope';
import type { ModelName } from './domain/names';
import type { ReleaseRef } from './domain/release';
import type { ArmName } from './domain/route';
import type { Rollout } from './domain/rollout';
import type { Verdict } from './domain/verdict';

export type { Receipt } from './lifecycle.messages';

/** Workflow type, by the name of its exported function. */
export const DEPLOYMENT = 'deployment';

/** Also the input of continue-as-new: bounded plain JSON. The truth about routes is the store's; this is what is in progress. */
export interface DeploymentInput {
  readonly model: ModelName;
  /** Queued commands that the last run had not begun, at most 20. */
  readonly queue: readonly QueuedCommand[];
  /** Nonces and update ids seen, newest last, at most 200. */
  readonly seen: readonly string[];
}

/** A release handed over by a lifecycle (verified by its registration), or a signed operator command. */
export type QueuedCommand =
  | { readonly kind: 'release'; readonly id: string; readonly release: ReleaseRef; readonly run: string | null }
  | { readonly kind: 'command'; readonly id: string; readonly envelope: Envelope };

export const releaseUpdate = 'release';
/** Every operator command arrives by this update: the envelope's action says which of `COMMAND_ACTIONS` it is. */
export const commandUpdate = 'command';
export const statusQuery = 'status';

export type ReleaseArgs = [{ readonly release: ReleaseRef; readonly run: string | null }];
export type CommandArgs = [Envelope];

export interface DeploymentStatus {
  readonly model: ModelName;
  readonly generation: number;
  readonly champion: ReleaseRef | null;
  readonly previousChampion: ReleaseRef | null;
  readonly frozen: boolean;
  readonly rollout:
    | (Pick<Rollout, 'id' | 'release' | 'run'> & {
        readonly step: number;
        readonly steps: number;
        readonly weights: Readonly<Partial<Record<ArmName, number>>>;
        readonly paused: boolean;
        readonly verdicts: readonly Verdict[];
      })
    | null;
  readonly story: readonly { readonly at: string; readonly text: string }[];
}
