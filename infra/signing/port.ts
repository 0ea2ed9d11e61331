import type { Envelope, PayloadType, Role } from '../../workflows/domain/envelope';

/** One private key. `sign` canonicalises the document (RFC 8785) and wraps it in DSSE. */
export interface Signer {
  readonly keyId: string;
  /** SPKI PEM. */
  readonly publicKey: string;
  sign(payloadType: PayloadType, document: unknown): Envelope;
}

/** One line of the workspace's trust file; comes from each process's own config, never from the store. */
export interface TrustedKey {
  readonly keyId: string;
  /** SPKI PEM of an Ed25519 public key. */
  readonly publicKey: string;
  readonly person: string;
  /** Project `*` is all of them. */
  readonly roles: readonly { readonly role: Role; readonly project: string }[];
  readonly expiresAt: string | null;
  /** `left`: stops promotion from then on. `compromised`: nothing it ever signed counts, and its use pages. */
  readonly revoked: { readonly at: string; readonly reason: 'left' | 'compromised' } | null;
}

export interface WorkspacePolicy {
  readonly workspace: string;
  readonly keys: readonly TrustedKey[];
  /** Smallest number of approvals whatever the spec says; 0 allows specs that ask for none (development only). */
  readonly minApprovals: number;
  /** Releases made under this policy may serve in production workspaces. */
  readonly production: boolean;
}

export interface Verified<T> {
  readonly document: T;
  readonly keyId: string;
  readonly person: string;
}

/**
 * What a signature must have been. `at` is the instant whose validity counts: now for a new decision, the audit entry's time for
 * an old one (expiry and leavers stop promotion, never serving). Compromised keys fail at any instant.
 */
export interface Requirement {
  readonly payloadType: PayloadType;
  readonly role: Role;
  readonly project: string;
  readonly at: Date;
}

export interface Trust {
  readonly policy: WorkspacePolicy;
  /** Throws SlipwayError KEY_UNKNOWN, KEY_REVOKED, SIGNATURE_INVALID, ROLE_MISSING or WORKSPACE_MISMATCH (document.workspace). */
  verify<T>(envelope: Envelope, requirement: Requirement): Verified<T>;
}
