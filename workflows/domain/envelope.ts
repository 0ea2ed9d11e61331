/**
 * DSSE envelope (github.com/secure-systems-lab/dsse, v1.0.2): `payload` is base64 of the signed bytes, which are the
 * canonical JSON of one of the documents below; each `sig` is base64 of an Ed25519 signature over the PAE.
 */
export interface Envelope {
  readonly payloadType: string;
  readonly payload: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
}

export const PAYLOAD_TYPES = {
  command: 'application/vnd.slipway.command.v1+json',
  approval: 'application/vnd.slipway.approval.v1+json',
  route: 'application/vnd.slipway.route.v1+json',
  auditCheckpoint: 'application/vnd.slipway.audit-checkpoint.v1+json',
  /** OpenSSF model signing: an in-toto statement over the release's files. */
  release: 'application/vnd.in-toto+json',
} as const;
export type PayloadType = (typeof PAYLOAD_TYPES)[keyof typeof PAYLOAD_TYPES];

export const ROLES = ['viewer', 'operator', 'approver', 'trainer', 'control'] as const;
/** `control` is the control plane's own key: it signs routes, releases and audit checkpoints. */
export type Role = (typeof ROLES)[number];
