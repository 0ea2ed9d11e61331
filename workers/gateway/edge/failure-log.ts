import type { Logger } from '../../../infra/telemetry/log';
import type { ErrorCode } from '../../../workflows/domain/errors';
import { ERRORS } from '../../../workflows/domain/errors';
import { type TraceParent, traceIdOf } from './trace';

/** A model that fails always fails thousands of times a second. */
const MOST_A_SECOND = 10;

export interface Failure {
  readonly model: string;
  readonly generation: number;
  readonly code: ErrorCode;
  readonly traceparent: TraceParent;
}

/**
 * Says in the log which requests failed by our fault (500), so that a caller's trace leads to them. Nothing of what was sent is in
 * it: code and trace only (invariant I10).
 */
export class FailureLog {
  private second = -1;
  private lines = 0;

  constructor(
    private readonly logger: Logger,
    private readonly nowMs: () => number,
  ) {}

  note({ model, generation, code, traceparent }: Failure): void {
    if (ERRORS[code].http !== 500) return;
    const second = Math.floor(this.nowMs() / 1_000);
    if (second !== this.second) [this.second, this.lines] = [second, 0];
    this.lines += 1;
    if (this.lines > MOST_A_SECOND) return;
    this.logger.warn({ model, generation, code, trace_id: traceIdOf(traceparent) }, 'a request failed');
  }
}
