import { type ErrorCode, SlipwayError } from '../../workflows/domain/errors';

/** What is known of a failed call beside its code. */
export interface CallFacts {
  /** The server did nothing for it: there was no connection, or it said that it takes none now (429, 503). */
  readonly isUndone?: boolean;
  /** Of an answer without scores: 404, 302, 503. */
  readonly status?: number;
  /** Of ENDPOINT_TIMEOUT: the caller, and not the release, left too little time. It says nothing of the server. */
  readonly isHasty?: boolean;
}

/** An error of the catalogue; what is known beside it decides whether the call is made again and whom it is charged to. */
export class CallError extends SlipwayError {
  constructor(
    code: ErrorCode,
    message: string,
    readonly facts: CallFacts,
    options?: { readonly retryAfterMs?: number },
  ) {
    super(code, message, options);
  }
}

export function factsOf(error: unknown): CallFacts {
  return error instanceof CallError ? error.facts : {};
}
