import { SlipwayError } from '../../workflows/domain/errors';

/**
 * KEY_REVOKED for a key that is listed as compromised: the one refusal that stops what serves already (invariant I2). Leavers and
 * expired keys have the same code and stop new decisions only, so whoever acts on it asks `compromisedKeyOf`.
 */
export class CompromisedKeyError extends SlipwayError {
  constructor(
    readonly keyId: string,
    message: string,
  ) {
    super('KEY_REVOKED', message);
  }
}

/** The compromised key that this error, or one it was caused by, is about; null for every other error. */
export function compromisedKeyOf(error: unknown): string | null {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof CompromisedKeyError) return at.keyId;
  return null;
}
