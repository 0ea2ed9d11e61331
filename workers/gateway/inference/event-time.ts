import type { Clock } from '../../../workflows/domain/spec';
import { invalid } from './protocol';

/** Clocks of callers run ahead, and time zones are mistaken, by no more. */
export const MAX_EVENT_AHEAD_MS = 86_400_000;

/**
 * When a request's event happened, epoch ms; `given` is its parameter `event_time`. An event-time route cannot place a request that does
 * not say. What has not happened yet is refused: the newest event time is the clock of steps, of label maturity and of the monitor,
 * and one request of the year 2999 would end them all. Throws REQUEST_INVALID.
 */
export function readEventTime(given: unknown, clock: Clock, receivedMs: number): number {
  if (given === undefined && clock === 'wall') return receivedMs;
  if (given === undefined)
    throw invalid('the parameter `event_time` (epoch ms) is missing; this model counts in event time');
  if (!Number.isSafeInteger(given) || (given as number) < 0)
    throw invalid('the parameter `event_time` must be an integer, epoch ms');
  if ((given as number) > receivedMs + MAX_EVENT_AHEAD_MS)
    throw invalid('the parameter `event_time` lies more than a day ahead of the clock here; it is in epoch ms');
  return given as number;
}
