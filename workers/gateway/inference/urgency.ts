import { NORMAL, URGENT } from '../execution/batch-queue';
import { invalid } from './protocol';

/**
 * Triton's request parameter `timeout`: microseconds, a positive integer; 0 and none are the gateway's own longest time.
 * Throws REQUEST_INVALID.
 */
export function readTimeoutMs(timeout: unknown, longestMs: number): number {
  if (timeout === undefined || timeout === 0) return longestMs;
  if (!Number.isSafeInteger(timeout) || (timeout as number) < 0)
    throw invalid('`timeout` must be microseconds, an integer of 0 or more');
  return Math.min((timeout as number) / 1_000, longestMs);
}

/** Triton's request parameter `priority`: 1 goes before all others; 0, none and larger numbers are alike. Throws REQUEST_INVALID. */
export function readLevel(priority: unknown): typeof URGENT | typeof NORMAL {
  if (priority === undefined || priority === 0) return NORMAL;
  if (!Number.isSafeInteger(priority) || (priority as number) < 0)
    throw invalid('`priority` must be an integer of 0 or more');
  return priority === 1 ? URGENT : NORMAL;
}
