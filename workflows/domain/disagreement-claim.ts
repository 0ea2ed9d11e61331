import type { RolloutStep } from './spec';
import { MIN_WHOLE_DAYS } from './statistics/day-means';

const DAY_MS = 86_400_000;

/**
 * What a step has to show of disagreement before the rollout goes on; what it can show depends on how long it is planned for.
 * `mean-day`: the mean of all such days is below `max`. `days-seen`: that of the whole days seen is. `hours-seen`: that of the hours
 * seen is, in a rollout that is shorter than a day. `not-gross`: the hours seen are below `gross`, as a later step sees days.
 */
export type DisagreementClaim = 'mean-day' | 'days-seen' | 'hours-seen' | 'not-gross';

/**
 * `steps` without the bake, which has to show what the last of them has. Only the last step speaks of days to come: the others go on
 * by what they have seen, so that a rollout that begins at night is not held up by its first hour.
 */
export function claimOf(steps: readonly RolloutStep[], step: number, extension = 0): DisagreementClaim {
  const last = steps.length - 1;
  const lengthMs = (upTo: number, extended: number): number =>
    steps.reduce((sum, { forMs }, at) => sum + (at > upTo ? 0 : at === upTo ? forMs * (1 + extended) : forMs), 0);
  const plannedMs = lengthMs(Math.min(step, last), step > last ? 0 : extension);
  if (step >= last && plannedMs >= MIN_WHOLE_DAYS * DAY_MS) return 'mean-day';
  if (plannedMs >= DAY_MS) return 'days-seen';
  return step < last && lengthMs(last, 0) >= DAY_MS ? 'not-gross' : 'hours-seen';
}
