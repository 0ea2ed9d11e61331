import type { ModelName } from './domain/names';
import type { LookResult } from './domain/monitoring';

/** Workflow type, by the name of its exported function. */
export const MONITOR = 'monitor';

/** One look. `asOf` (RFC 3339) moves the end of the window for replayed traffic; null is the newest event time or now. */
export interface MonitorInput {
  readonly model: ModelName;
  readonly asOf: string | null;
  /** Divides every activity time-out (chaos tests). Default 1. */
  readonly timeoutDivisor?: number;
}

export type MonitorResult = LookResult & { readonly retrainRun: string | null };
