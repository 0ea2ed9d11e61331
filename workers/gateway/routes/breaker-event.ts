import type { BreakerEvent } from '../../../workflows/domain/observation';
import { CHALLENGER } from '../records/prediction-row';
import type { ServedModel } from './served-model';

/** What the deployment workflow is told when a breaker trips here. */
export function breakerEvent(served: ServedModel, gateway: string, incarnation: string): BreakerEvent {
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
    reason: `${errors} of the challenger's ${all} requests failed, more than chance explains at the champion's rate`,
  };
}
