import type { BreakerEvent, ObservationDocument } from '../../workflows/domain/observation';
import { keys } from '../../workflows/domain/keys';
import type { ModelName } from '../../workflows/domain/names';
import type { ObjectStore } from '../../infra/object-store/port';

export interface Observed {
  readonly documents: readonly ObservationDocument[];
  readonly breakers: readonly BreakerEvent[];
}

/** What gateways published of some generations of a model, by key. */
export async function readObservations(
  store: ObjectStore,
  model: ModelName,
  generations: readonly number[],
): Promise<Observed> {
  const documents: ObservationDocument[] = [];
  const breakers: BreakerEvent[] = [];
  for (const generation of generations) {
    const trips = keys.breakerEvents(model, generation);
    for (const key of await store.list(keys.observations(model, generation))) {
      const bytes = await store.get(key);
      if (!bytes) continue;
      const value = JSON.parse(Buffer.from(bytes).toString('utf8')) as ObservationDocument | BreakerEvent;
      if (key.startsWith(trips)) breakers.push(value as BreakerEvent);
      else documents.push(value as ObservationDocument);
    }
  }
  return { documents, breakers };
}

/** Whether a route newer than `generation` was committed by anybody. */
export async function isOvertaken(store: ObjectStore, model: ModelName, generation: number): Promise<boolean> {
  return (await store.list(keys.routes(model), { after: keys.route(model, generation), limit: 1 })).length > 0;
}
