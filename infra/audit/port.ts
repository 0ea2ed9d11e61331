import type { AuditEntry, AuditKind, AuditRef } from '../../workflows/domain/audit';
import type { Digest } from '../../workflows/domain/digest';
import type { ModelName } from '../../workflows/domain/names';

export interface AuditRecord {
  /** Operation, domain id and input digest, such as `route/flights/late-arrival/7`; never Temporal's ids. */
  readonly id: string;
  readonly kind: AuditKind;
  readonly actor: string;
  readonly summary: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly evidence: readonly Digest[];
}

export interface AuditLog {
  /** Appends, or returns the entry that has this id already. */
  append(model: ModelName, record: AuditRecord): Promise<AuditRef>;
  /** The entry a reference points at, verified against its digest; null where it is not in the store. */
  find(model: ModelName, ref: AuditRef): Promise<AuditEntry | null>;
  /** Oldest first. */
  entries(model: ModelName): AsyncIterable<AuditEntry>;
}
