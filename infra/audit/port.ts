import type { AuditEntry, AuditRef } from '../../workflows/domain/audit';
import type { ModelName } from '../../workflows/domain/names';

/** What is appended. Its id is operation, domain id and input digest, such as `route/flights/late-arrival/7`; never Temporal's ids. */
export type AuditRecord = Pick<AuditEntry, 'id' | 'kind' | 'actor' | 'summary' | 'data' | 'evidence'>;

/** An entry with the reference that effects carry. */
export interface LoggedEntry {
  readonly entry: AuditEntry;
  readonly ref: AuditRef;
}

export interface AuditLog {
  /** Appends, or returns the entry that has this id already. Throws AUDIT_BROKEN rather than write onto a chain with a gap. */
  append(model: ModelName, record: AuditRecord): Promise<AuditRef>;
  /** The entry a reference points at, verified against its digest; null where the log has no such entry. */
  find(model: ModelName, ref: AuditRef): Promise<AuditEntry | null>;
  /** The entry with this id, whichever process wrote it; null where there is none. */
  lookup(model: ModelName, id: string): Promise<LoggedEntry | null>;
  /** Oldest first. */
  entries(model: ModelName): AsyncIterable<AuditEntry>;
  /** Newest entry; null where the model has none. */
  head(model: ModelName): Promise<AuditRef | null>;
  /** Signs the head now, beyond the checkpoints that are made on the way; null where there is nothing to sign. */
  checkpoint(model: ModelName): Promise<AuditRef | null>;
}
