import { ApplicationFailure, isCancellation, TemporalFailure, TimeoutFailure } from '@temporalio/workflow';
import { clip } from './activity-presets';
import { type ErrorCode, isErrorCode } from './domain/errors';

export interface FailureReport {
  readonly code: ErrorCode;
  readonly detail: string;
}

const DETAIL_LIMIT = 500;

/** Code and sentence of what an activity threw; INTERNAL where it is not of the catalogue. */
export function reportFailure(error: unknown): FailureReport {
  const cause = innermost(error);
  const detail = clip(cause instanceof Error ? cause.message : String(cause), DETAIL_LIMIT);
  if (cause instanceof ApplicationFailure && cause.type && isErrorCode(cause.type)) return { code: cause.type, detail };
  if (cause instanceof TimeoutFailure)
    return { code: 'TEMPORAL_UNAVAILABLE', detail: `no worker finished it in time: ${detail}` };
  return { code: 'INTERNAL', detail };
}

/** Whether a failure of an activity is that of the code. */
export function failedWith(error: unknown, code: ErrorCode): boolean {
  return reportFailure(error).code === code;
}

/**
 * Only what Temporal reports as a failure decides a run. Anything else (a defect of this code, or the determinism error of a
 * replay) goes on up: it fails the workflow task, which is tried again when the code is mended.
 */
export function rethrowDefects(error: unknown): void {
  if (!(error instanceof TemporalFailure) && !isCancellation(error)) throw error;
}

function innermost(error: unknown): unknown {
  let current = error;
  while (current instanceof TemporalFailure && current.cause) current = current.cause;
  return current;
}
