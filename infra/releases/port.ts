import type { ModelName } from '../../workflows/domain/names';
import type { ReleaseManifest, ReleaseRef } from '../../workflows/domain/release';

/** `serve`: what served or was promotable once may serve again (rollback, gateways). `promote`: keys must be valid now. */
export type ReleasePurpose = 'serve' | 'promote';

export interface ReleaseRegistry {
  /** Throws NOT_FOUND, or RELEASE_TAMPERED when the manifest's digest is not the reference's. */
  manifest(ref: ReleaseRef): Promise<ReleaseManifest>;
  list(model: ModelName): Promise<ReleaseRef[]>;
  /**
   * Invariant I2: digest, signature bundle, the model bytes' digest, the registration's audit entry, and as many valid approvals of
   * distinct people as the manifest and the policy ask for, each recorded in the audit log. Throws RELEASE_TAMPERED,
   * RELEASE_UNAPPROVED, KEY_REVOKED, WORKSPACE_MISMATCH.
   */
  verify(ref: ReleaseRef, purpose: ReleasePurpose): Promise<ReleaseManifest>;
}
