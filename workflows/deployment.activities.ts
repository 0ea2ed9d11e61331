import type { CommandAction } from './domain/approval';
import type { AuditRef } from './domain/audit';
import type { Digest } from './domain/digest';
import type { Envelope } from './domain/envelope';
import type { ErrorCode } from './domain/errors';
import type { ModelName } from './domain/names';
import type { ReleaseRef } from './domain/release';
import type { Arm, RouteState, ShadowArm } from './domain/route';
import type { CanaryReport, QualityReport, Rollout, RolloutOutcome } from './domain/rollout';
import type { AssignmentSpec } from './domain/spec';
import type { Verdict } from './domain/verdict';

/** What the store says of a model's deployment; the first step of each workflow run. */
export interface RecoveredDeployment {
  readonly generation: number;
  readonly champion: ReleaseRef | null;
  readonly previousChampion: ReleaseRef | null;
  readonly state: RouteState;
  /**
   * A rollout that the newest route shows unfinished: its workflow was lost; it is rolled back, and that is audited.
   * `run` (from the release's manifest) is told of the end, should it still wait.
   */
  readonly unfinished: { readonly id: string; readonly release: ReleaseRef; readonly run?: string | null } | null;
}

export interface RoutePlan {
  readonly model: ModelName;
  /** The generation this plan was made on; the commit creates the next one or loses. */
  readonly onGeneration: number;
  /** Deterministic and different for each generation (it names `onGeneration`): a retry finds its own commit by it. */
  readonly intent: string;
  readonly reason: string;
  readonly actor: string;
  readonly state: RouteState;
  readonly arms: readonly Arm[];
  readonly shadows: readonly ShadowArm[];
  readonly paired: boolean;
  readonly rollout: { readonly id: string; readonly step: number } | null;
  readonly evidence: readonly Digest[];
  /** As `prepareRollout` returned it. Left out (rollback, freeze, retire): that of the route before. */
  readonly assignment?: AssignmentSpec;
}

export type AdmittedCommand =
  | {
      readonly accepted: true;
      readonly action: CommandAction;
      readonly args: Readonly<Record<string, unknown>>;
      readonly actor: string;
      readonly audit: AuditRef;
    }
  | { readonly accepted: false; readonly code: ErrorCode; readonly detail: string };

/** On the control queue: rollback needs nothing else (invariant I4). */
export interface DeploymentControlActivities {
  recoverDeployment(input: { model: ModelName }): Promise<RecoveredDeployment>;
  /**
   * Verifies a signed command and audits it, accepted or refused. `delivery` is the update's id: the same nonce with the same
   * delivery is a retry and gets the same answer; with another delivery it is COMMAND_REPLAYED. Action `release` may be signed by an
   * operator or by role `control` (a hand-over); `abort` as well (a run that was cancelled).
   */
  admitCommand(input: { model: ModelName; envelope: Envelope; delivery?: string }): Promise<AdmittedCommand>;
  /**
   * Verifies signature, digest, approvals (as recorded in the audit log) and compromised keys before a release may serve (I2).
   * `attempt` is the generation its first route would have, so that a rollout's id (`rollout-<version>-<attempt>`) is new each time.
   */
  prepareRollout(input: {
    release: ReleaseRef;
    run: string | null;
    champion: ReleaseRef | null;
    attempt: number;
  }): Promise<
    | { readonly accepted: true; readonly rollout: Rollout; readonly assignment: AssignmentSpec }
    | { readonly accepted: false; readonly code: ErrorCode; readonly detail: string }
  >;
  /** Same check, for a release that served before (rollback): expiry and leavers' keys do not count, compromised ones do. */
  verifyServable(input: {
    release: ReleaseRef;
  }): Promise<{ readonly ok: true } | { readonly ok: false; readonly code: ErrorCode; readonly detail: string }>;
  /** Audits the intent, then creates the route of the next generation. Throws STORE_CONFLICT (not retried) when another writer was first. */
  commitRoute(plan: RoutePlan): Promise<{ readonly generation: number; readonly digest: Digest }>;
  /** One watch of a canary step: looks and heartbeats each second; errors and disagreement. Returns before the step is over only for a fail, a breaker or a lost generation. */
  watchCanary(input: WatchInput): Promise<CanaryReport>;
  /** Audits verdicts and outcome. */
  recordRollout(input: {
    model: ModelName;
    rollout: string;
    release: ReleaseRef;
    event: 'started' | 'judged' | 'ended';
    outcome: RolloutOutcome | null;
    detail: string;
    verdicts: readonly Verdict[];
    evidence: readonly Digest[];
    actor?: string;
  }): Promise<void>;
}

export interface WatchInput {
  readonly model: ModelName;
  /** Its spec's steps include the bake: a last step at weight 1 for `bakeMs`, the champion still loaded at weight 0. */
  readonly rollout: Rollout;
  /** Index into `rollout.spec.steps`. */
  readonly step: number;
  /** Generations of this rollout that sent traffic to the challenger, newest last; their observations are summed. */
  readonly generations: readonly number[];
  /** When the step began and must end, epoch ms in wall time; in event time without `eventStartMs` the step begins with the first request of its own generation. */
  readonly startedAtMs: number;
  readonly endsAtMs: number;
  /** Event clock only: watermark at which the step began; null where it is not known. */
  readonly eventStartMs: number | null;
  /** How often the step was extended: in event time it is over after `forMs * (1 + extension)`. Default 0. */
  readonly extension?: number;
  /** An operator paused the rollout: the watch returns for a fail, a breaker or a lost generation, not because the step is over. */
  readonly hold?: boolean;
}

/** On the compute queue: joins predictions with matured labels. */
export interface DeploymentComputeActivities {
  /** Heartbeats; returns as soon as paired quality is settled (pass or fail), or when cancelled. */
  watchQuality(input: WatchInput): Promise<QualityReport>;
}
