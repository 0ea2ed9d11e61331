import type { Digest } from './digest';
import type { ModelName } from './names';

export const AUDIT_KINDS = [
  'run.started',
  'run.refused',
  'run.finished',
  'gates.judged',
  'release.registered',
  'approval.recorded',
  'approval.refused',
  'approval.expired',
  'command.accepted',
  'command.refused',
  'rollout.started',
  'rollout.judged',
  'rollout.ended',
  'route.intended',
  'breaker.tripped',
  'monitor.looked',
  'retrain.started',
  'deployment.recovered',
] as const;
export type AuditKind = (typeof AUDIT_KINDS)[number];

/** Points at the entry that an effect was recorded in before it happened (invariant I7). */
export interface AuditRef {
  readonly sequence: number;
  readonly digest: Digest;
}

/** One link of a model's chain: `previous` is the digest of the canonical JSON of the entry before. */
export interface AuditEntry {
  readonly schema: 'slipway.audit/1';
  readonly workspace: string;
  readonly model: ModelName;
  readonly sequence: number;
  readonly previous: Digest | null;
  /** Deterministic: operation, domain id and input digest; a second append with the same id returns the first entry. */
  readonly id: string;
  /** RFC 3339 in UTC: when it was recorded. */
  readonly at: string;
  readonly kind: AuditKind;
  /** Person or process that decided: `person:ana`, `process:control`. */
  readonly actor: string;
  /** One sentence for people. */
  readonly summary: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly evidence: readonly Digest[];
}

/** Signed head of a chain; found again in routes and gateway heartbeats, so that truncation is seen. */
export interface AuditCheckpoint {
  readonly schema: 'slipway.audit-checkpoint/1';
  readonly workspace: string;
  readonly model: ModelName;
  readonly sequence: number;
  readonly digest: Digest;
  readonly at: string;
}
