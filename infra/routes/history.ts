import { SlipwayError } from '../../workflows/domain/errors';
import type { ModelName } from '../../workflows/domain/names';
import type { ReleaseRef } from '../../workflows/domain/release';
import type { Route } from '../../workflows/domain/route';
import type { ObjectStore } from '../object-store/port';
import { FIRST_GENERATION, openRoute } from './document';
import type { StoredRoute } from './port';

/**
 * Newest first, from a verified route back to the first. What is older is verified by the digests that lead to it, which costs one
 * read each. Throws AUDIT_BROKEN where a link does not hold.
 */
export async function* walkBack(
  store: ObjectStore,
  model: ModelName,
  newest: StoredRoute,
): AsyncGenerator<StoredRoute> {
  let current = newest;
  for (;;) {
    yield current;
    const { previous, generation } = current.route;
    if (generation === FIRST_GENERATION || previous === null) return;
    const before = await openRoute(store, model, generation - 1);
    if (before?.digest !== previous)
      throw new SlipwayError(
        'AUDIT_BROKEN',
        `route ${generation} of ${model} follows a route ${generation - 1} that is missing or changed`,
      );
    current = { route: before.route, digest: before.digest };
  }
}

export function championOf(route: Pick<Route, 'arms'>): ReleaseRef | null {
  return route.arms.find((arm) => arm.name === 'champion')?.release ?? null;
}

/**
 * What a rollback would serve, from the champions in order of serving, oldest first: going back to the one before takes the last
 * one off again, so that two rollbacks in a row go back two releases and never to the one that was rolled back.
 */
export function previousChampion(champions: readonly ReleaseRef[]): ReleaseRef | null {
  const standing: ReleaseRef[] = [];
  for (const champion of champions) {
    if (standing.at(-1)?.digest === champion.digest) continue;
    if (standing.at(-2)?.digest === champion.digest) standing.pop();
    else standing.push(champion);
  }
  return standing.at(-2) ?? null;
}
