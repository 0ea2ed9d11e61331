import { canonicalJson, type Digest } from '../../workflows/domain/digest';
import { SlipwayError, type ErrorCode } from '../../workflows/domain/errors';
import { digestOf } from '../object-store/digest';

/** Codes that say no to what was asked. Everything else (store, defects, a broken log) is a failure and goes on being thrown. */
const refusals: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'KEY_UNKNOWN',
  'KEY_REVOKED',
  'SIGNATURE_INVALID',
  'ROLE_MISSING',
  'WORKSPACE_MISMATCH',
  'COMMAND_EXPIRED',
  'COMMAND_REPLAYED',
  'COMMAND_REFUSED',
  'APPROVAL_SELF',
  'APPROVAL_DUPLICATE',
  'APPROVAL_MISMATCH',
  'APPROVAL_LATE',
  'RELEASE_TAMPERED',
  'RELEASE_UNAPPROVED',
]);

/** The error as a refusal to be audited and answered. Throws it again where it is none. */
export function asRefusal(error: unknown): SlipwayError {
  if (error instanceof SlipwayError && refusals.has(error.code)) return error;
  throw error;
}

/** Names what was sent, whatever it is. */
export function digestOfAnything(value: unknown): Digest {
  return digestOf(Buffer.from(canonicalJson(value ?? null), 'utf8'));
}

/** Who claims to have sent an envelope that did not verify: only the key id it names, cut and cleaned. */
export function claimedActor(envelope: unknown): string {
  const signatures = (envelope as { signatures?: unknown } | null)?.signatures;
  const first: unknown = Array.isArray(signatures) ? signatures[0] : undefined;
  const keyid = (first as { keyid?: unknown } | undefined)?.keyid;
  return typeof keyid === 'string' && /^[\w:.-]{1,64}$/.test(keyid) ? `key:${keyid}` : 'key:unknown';
}
