import { setTimeout as delay } from 'node:timers/promises';
import { SlipwayError } from '../../workflows/domain/errors';
import { s3Error } from './s3-errors';

export interface RetryPolicy {
  readonly attempts: number;
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
}

/** About three seconds of waiting in all; above that Temporal's own retries take over. */
export const defaultRetryPolicy: RetryPolicy = { attempts: 6, firstDelayMs: 100, maxDelayMs: 2_000 };

/** Tries again while the store is unavailable, with full jitter, so that callers that failed together do not come back together. */
export async function retry<T>(policy: RetryPolicy, operation: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await operation();
    } catch (error) {
      const known = s3Error(error);
      const passing = known instanceof SlipwayError && known.code === 'STORE_UNAVAILABLE';
      if (!passing || attempt >= policy.attempts) throw known;
      const ceilingMs = Math.min(policy.maxDelayMs, policy.firstDelayMs * 2 ** (attempt - 1));
      await delay(ceilingMs * (0.5 + Math.random() / 2));
    }
  }
}
