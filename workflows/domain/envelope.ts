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
  /** Lets a tester's requests be answered by an arm. */
  arm: 'application/vnd.slipway.arm.v1+json',
  /** OpenSSF model signing: an in-toto statement over the release's files. */
  release: 'application/vnd.in-toto+json',
} as const;
export type PayloadType = (typeof PAYLOAD_TYPES)[keyof typeof PAYLOAD_TYPES];

export const ROLES = ['viewer', 'operator', 'approver', 'trainer', 'control'] as const;
/** `control` is the control plane's own key: it signs routes, releases and audit checkpoints. */
export type Role = (typeof ROLES)[number];

/** Far above any of our documents, far below what a history should hold. */
export const MAX_ENVELOPE_CHARS = 16_384;

/** What is wrong with the shape of something that should be an envelope; undefined where nothing is. Says nothing of its signature. */
export function envelopeProblem(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return 'expected a signed envelope';
  const { payloadType, payload, signatures } = value as Record<string, unknown>;
  if (Object.keys(value).length !== 3) return 'an envelope has payloadType, payload and signatures, and nothing else';
  if (typeof payloadType !== 'string' || typeof payload !== 'string')
    return 'an envelope needs payloadType and payload as text';
  if (!Array.isArray(signatures) || signatures.length === 0 || signatures.length > 8)
    return 'an envelope needs 1 to 8 signatures';
  if (!signatures.every(isSignature)) return 'each signature needs keyid and sig as text';
  const chars =
    payloadType.length +
    payload.length +
    signatures.reduce((sum: number, { keyid, sig }) => sum + keyid.length + sig.length, 0);
  return chars > MAX_ENVELOPE_CHARS
    ? `an envelope may have ${MAX_ENVELOPE_CHARS} characters, this one has ${chars}`
    : undefined;
}

function isSignature(value: unknown): value is { keyid: string; sig: string } {
  if (typeof value !== 'object' || value === null) return false;
  const { keyid, sig } = value as Record<string, unknown>;
  return Object.keys(value).length === 2 && typeof keyid === 'string' && typeof sig === 'string';
}
