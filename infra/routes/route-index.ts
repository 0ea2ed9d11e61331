import { z } from 'zod';
import { keys } from '../../workflows/domain/keys';
import { parseModelName, type ModelName } from '../../workflows/domain/names';
import type { RouteIndex } from '../../workflows/domain/route';
import { canonicalBytes } from '../object-store/digest';
import type { ObjectStore } from '../object-store/port';

/** Keys have room for twelve digits; a hint beyond is noise. */
const MAX_GENERATION = 999_999_999_999;
const generation = z.number().int().min(1).max(MAX_GENERATION);
const indexSchema = z.object({ generations: z.record(z.string(), z.unknown()) });
const noHint: RouteIndex = { generations: {} };
/** Two writers of different models may replace each other's hint; each looks again so often. */
const attempts = 4;

/** The hint; empty where it is missing or malformed, and without the entries that are, since nobody may depend on it. */
export async function readRouteIndex(store: ObjectStore): Promise<RouteIndex> {
  const bytes = await store.get(keys.routeIndex);
  if (!bytes) return noHint;
  try {
    const parsed = indexSchema.safeParse(JSON.parse(Buffer.from(bytes).toString('utf8')));
    if (!parsed.success) return noHint;
    return {
      generations: Object.fromEntries(
        Object.entries(parsed.data.generations).flatMap(([model, value]) => {
          const hint = generation.safeParse(value);
          return parseModelName(model) && hint.success ? [[model, hint.data] as const] : [];
        }),
      ),
    };
  } catch {
    return noHint;
  }
}

/**
 * Makes a model's hint the generation that was found to be its newest. A later one is left where it is there, and put right where it is
 * not: readers would look for it in vain. A hint may still be lost to another writer's put: then it lags, and readers probe.
 */
export async function mendRouteHint(store: ObjectStore, model: ModelName, generation: number): Promise<void> {
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const { generations } = await readRouteIndex(store);
    const hint = generations[model] ?? 0;
    if (hint === generation || (hint > generation && (await store.get(keys.route(model, hint))) !== null)) return;
    await store.put(
      keys.routeIndex,
      canonicalBytes({ generations: { ...generations, [model]: generation } } satisfies RouteIndex),
    );
  }
}
