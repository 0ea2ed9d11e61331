import { SlipwayError } from '../../workflows/domain/errors';
import type { Executor } from './executor';
import type { GatewayMetrics } from './metrics';
import type { PredictionSink } from './prediction-row';
import type { RequestLimits } from './protocol';
import type { ServedModel } from './served-model';

/** Where an answer goes. Called once. */
export interface Reply {
  send(status: number, body: string, retryAfterSeconds?: number): void;
}

export interface InferenceOptions {
  readonly executor: Executor;
  readonly metrics: GatewayMetrics;
  readonly log: PredictionSink;
  readonly limits: RequestLimits;
  readonly incarnation: string;
  /** Monotonic: latencies and leases are counted on it. */
  readonly nowMs: () => number;
  /** Writes the counts of answered requests down. */
  readonly commit: () => void;
  readonly onBreakerTripped: (served: ServedModel) => void;
}

/** What one request needs of the service that it runs in. */
export interface InferenceContext {
  readonly options: InferenceOptions;
  /** `answer` is called once the counts of the request are written. */
  answerAfterCommit(call: { answer(): void }): void;
  /** Work that goes on after its caller was answered: paired and shadow scores. */
  track(work: Promise<void>): void;
}

export function overloaded(): SlipwayError {
  return new SlipwayError('OVERLOADED', 'too many requests wait for inference');
}
