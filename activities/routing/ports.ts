import type { AuditLog } from '../../infra/audit/port';
import type { BlobStore, ObjectStore } from '../../infra/object-store/port';
import type { ReleaseRegistry } from '../../infra/releases/port';
import type { RouteReader } from '../../infra/routes/port';
import type { Signer, Trust } from '../../infra/signing/port';

export interface RoutingPorts {
  readonly store: ObjectStore;
  readonly blobs: BlobStore;
  readonly trust: Trust;
  readonly audit: AuditLog;
  readonly registry: ReleaseRegistry;
  readonly reader: RouteReader;
  /** The control key. */
  readonly signer: Signer;
  readonly clock?: () => Date;
}
