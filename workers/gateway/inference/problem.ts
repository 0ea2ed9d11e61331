import type { ErrorCode } from '../../../workflows/domain/errors';
import { ERRORS, SlipwayError } from '../../../workflows/domain/errors';

/** What a caller is told that gets no scores. */
export interface Problem {
  readonly code: ErrorCode;
  readonly message: string;
  readonly advice: string;
  /** HTTP status. */
  readonly status: number;
  /** When it is worth another try; null where it is not. */
  readonly retryAfterSeconds: number | null;
}

/** Anything that was thrown; what is not of the catalogue is INTERNAL. */
export function problemOf(error: unknown): Problem {
  const known =
    error instanceof SlipwayError
      ? error
      : new SlipwayError('INTERNAL', error instanceof Error ? error.message : String(error));
  const { http, advice } = ERRORS[known.code];
  return {
    code: known.code,
    message: known.message,
    advice,
    status: http,
    retryAfterSeconds: http === 503 || http === 429 ? Math.max(1, Math.ceil((known.retryAfterMs ?? 0) / 1_000)) : null,
  };
}
