import { z } from 'zod';
import { keys } from '../../workflows/domain/keys';
import type { ModelName } from '../../workflows/domain/names';
import { listAll } from '../../infra/object-store/list-all';
import type { ObjectStore } from '../../infra/object-store/port';

/** What a Date can hold, either way of 1970. */
const LARGEST_INSTANT_MS = 8.64e15;
const observed = z.looseObject({
  watermarkMs: z.number().min(-LARGEST_INSTANT_MS).max(LARGEST_INSTANT_MS).nullable(),
});

/**
 * Event time up to which gateways had answered requests of a generation, RFC 3339; null where they answered none. It lags by what
 * gateways have not reported yet; the prediction log knows each request's own generation.
 */
export async function readWatermark(store: ObjectStore, model: ModelName, generation: number): Promise<string | null> {
  let newest = -Infinity;
  for await (const key of listAll(store, keys.observations(model, generation))) {
    const bytes = await store.get(key);
    if (bytes) newest = Math.max(newest, watermarkOf(bytes) ?? -Infinity);
  }
  return Number.isFinite(newest) ? new Date(newest).toISOString() : null;
}

/** Null for breaker events and anything else beside the observations: a watermark never stops a commit. */
function watermarkOf(bytes: Uint8Array): number | null {
  try {
    const parsed = observed.safeParse(JSON.parse(Buffer.from(bytes).toString('utf8')));
    return parsed.success ? parsed.data.watermarkMs : null;
  } catch {
    return null;
  }
}
