import type { Digest } from './digest';
import type { ModelName } from './names';
import type { ReleaseRef } from './release';

/** Signed by one person: counts for one release, one evidence digest, one workspace (invariant I3). */
export interface ApprovalDocument {
  readonly schema: 'slipway.approval/1';
  readonly decision: 'approve' | 'reject';
  readonly workspace: string;
  readonly release: ReleaseRef;
  readonly evidence: Digest;
  readonly comment: string;
  readonly at: string;
  readonly expiresAt: string;
}

/** What the control activity recorded about one approval that arrived. */
export interface RecordedApproval {
  readonly person: string;
  readonly decision: 'approve' | 'reject';
  readonly at: string;
}

export type Quorum =
  | { readonly state: 'waiting'; readonly missing: number }
  | { readonly state: 'approved' }
  | { readonly state: 'rejected'; readonly by: string };

/** A quorum is of distinct people; one rejection ends it. */
export function judgeQuorum(recorded: readonly RecordedApproval[], required: number): Quorum {
  const rejection = recorded.find((approval) => approval.decision === 'reject');
  if (rejection) return { state: 'rejected', by: rejection.person };
  const people = new Set(recorded.map((approval) => approval.person));
  return people.size >= required ? { state: 'approved' } : { state: 'waiting', missing: required - people.size };
}

export interface CommandDocument<Args = Readonly<Record<string, unknown>>> {
  readonly schema: 'slipway.command/1';
  readonly workspace: string;
  readonly action: CommandAction;
  readonly target: ModelName;
  readonly args: Args;
  readonly nonce: string;
  readonly issuedAt: string;
  readonly expiresAt: string;
}

export const COMMAND_ACTIONS = [
  'run',
  'cancelRun',
  'release',
  'rollback',
  'divert',
  'pause',
  'resume',
  'abort',
  'skipStep',
  'promoteNow',
  'freeze',
  'unfreeze',
  'retire',
] as const;
export type CommandAction = (typeof COMMAND_ACTIONS)[number];
