import type { SlipwayError } from '../../../workflows/domain/errors';
import type { BreakerEvent } from '../../../workflows/domain/observation';
import { CHALLENGER } from '../records/prediction-row';
import type { ServedModel } from './served-model';

/** What the deployment workflow is told when a challenger is taken out here. `changed`: what its endpoint does otherwise. */
export function breakerEvent(
  served: ServedModel,
  gateway: string,
  incarnation: string,
  changed: SlipwayError | null = null,
): BreakerEvent {
  const { model, generation } = served.route;
  const { requests, errors } = served.breaker;
  const all = served.observer.counts.requestsOf(CHALLENGER);
  return {
    schema: 'slipway.breaker/1',
    model,
    generation,
    gateway,
    incarnation,
    at: new Date().toISOString(),
    requests,
    errors,
    ...(changed ? { kind: 'changed' as const } : {}),
    reason: changed
      ? changed.message
      : `${errors} of the challenger's ${all} requests failed, more than chance explains at the champion's rate`,
  };
}
