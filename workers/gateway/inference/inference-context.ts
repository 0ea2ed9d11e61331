import { SlipwayError } from '../../../workflows/domain/errors';
import type { Answer } from './answer';
import type { ArmPermits } from '../edge/arm-permits';
import type { FailureLog } from '../edge/failure-log';
import type { Executor } from '../execution/executor';
import type { Explainer } from '../explain/explainer';
import type { GatewayMetrics } from '../metrics';
import type { PredictionSink } from '../records/prediction-row';
import type { RequestLimits } from './protocol';
import type { Problem } from './problem';
import type { ServedModel } from '../routes/served-model';

/** Where an answer goes, in the form of the caller's protocol. One of the two is called, once. */
export interface Reply {
  /** The caller left: what waits for it is not inferred. */
  readonly isGone: boolean;
  answer(answer: Answer): void;
  refuse(problem: Problem): void;
}

/** What came with a request beside its body; names in lower case (HTTP headers, gRPC metadata). */
export type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

export interface InferenceOptions {
  /** Absent where no tester may ask for an arm. */
  readonly armPermits?: ArmPermits;
  readonly executor: Executor;
  /** Absent where answers are never explained. */
  readonly explainer?: Explainer;
  /** Absent where nobody reads a log. */
  readonly failures?: FailureLog;
  readonly metrics: GatewayMetrics;
  readonly log: PredictionSink;
  readonly limits: RequestLimits;
  readonly incarnation: string;
  /** Longest time that a request may take; callers may ask for less (`timeout`). */
  readonly timeoutMs: number;
  /** Monotonic: latencies and leases are counted on it. */
  readonly nowMs: () => number;
  /** Writes the counts of answered requests down. */
  readonly commit: () => void;
  /** `changed`: not by errors, but since its endpoint answers otherwise than it was approved. */
  readonly onBreakerTripped: (served: ServedModel, changed?: SlipwayError | null) => void;
}

/** What one request needs of the service that it runs in. */
export interface InferenceContext {
  readonly options: InferenceOptions;
  /** Tells the caller a problem that no arm is charged with. */
  refuse(served: ServedModel, error: unknown, startedMs: number, reply: Reply): void;
  /** `answer` is called once the counts of the request are written. */
  answerAfterCommit(call: { answer(): void }): void;
  /** The same where no batch will settle: the answer was known. */
  answerSoon(): void;
  /** Work goes on that outlives its caller's request: explanations, paired and shadow scores. A count, since there is one for each request. */
  workBegan(): void;
  workEnded(): void;
}

/** `retryMs`: when the queue will have room, at the measured speed. */
export function overloaded(retryMs: number): SlipwayError {
  return new SlipwayError('OVERLOADED', 'too many requests wait for inference', { retryAfterMs: retryMs });
}
