import { SlipwayError } from '../../workflows/domain/errors';
import { PAYLOAD_TYPES } from '../../workflows/domain/envelope';
import { keys } from '../../workflows/domain/keys';
import type { ModelName } from '../../workflows/domain/names';
import { contentOfRoute } from '../audit/effects';
import type { AuditLog } from '../audit/port';
import type { ObjectStore } from '../object-store/port';
import type { Trust } from '../signing/port';
import { projectOf } from '../signing/project';
import { FIRST_GENERATION, openRoute, type OpenRoute } from './document';
import type { RouteReader, StoredRoute } from './port';
import { readRouteIndex } from './route-index';

export interface RouteReaderPorts {
  readonly store: ObjectStore;
  readonly trust: Trust;
  readonly audit: Pick<AuditLog, 'find'>;
}

/** A route that was verified once; its signature is checked again each time, because a key may since be listed as compromised. */
interface Cached {
  readonly opened: OpenRoute;
  readonly recordedAt: Date;
}

/**
 * Throws, besides the store's errors: SIGNATURE_INVALID, KEY_UNKNOWN, KEY_REVOKED, ROLE_MISSING, WORKSPACE_MISMATCH for a route
 * that the control key did not sign for this workspace; AUDIT_BROKEN for one that the log does not hold (I7), that does not
 * follow the route before, or where a known route is gone.
 */
export function createRouteReader(ports: RouteReaderPorts): RouteReader {
  const cache = new Map<ModelName, Cached>();

  const at = async (model: ModelName, generation: number): Promise<StoredRoute | null> => {
    const held = cache.get(model);
    const cached =
      held?.opened.route.generation === generation ? held : await verifyNew(ports, model, generation, held ?? null);
    if (!cached) return null;
    checkSignature(ports.trust, model, cached);
    if (!held || held.opened.route.generation <= generation) cache.set(model, cached);
    return { route: cached.opened.route, digest: cached.opened.digest };
  };

  const start = async (model: ModelName, known: number): Promise<StoredRoute | null> => {
    const hint = (await readRouteIndex(ports.store)).generations[model] ?? 0;
    const hinted = hint > known ? await at(model, hint) : null;
    if (hinted) return hinted;
    const kept = await at(model, Math.max(known, FIRST_GENERATION));
    if (!kept && known >= FIRST_GENERATION)
      throw new SlipwayError('AUDIT_BROKEN', `route ${known} of ${model} was there and is gone`);
    // A hint beyond the last route is wrong, and not trusted. Nor does it cost a look at every route that there is.
    return kept && hint > known ? at(model, await lastBelow(ports.store, model, kept.route.generation, hint)) : kept;
  };

  return {
    at,
    newest: async (model, known = 0) => {
      let newest = await start(model, known);
      for (let next = newest; next; next = await at(model, next.route.generation + 1)) newest = next;
      return newest;
    },
    models: async () => Object.keys((await readRouteIndex(ports.store)).generations),
  };
}

/**
 * A generation that is there while the next is not, from one that is there and one that is not: in steps that double, then by halves, as
 * generations have no gaps (I1).
 */
async function lastBelow(store: ObjectStore, model: ModelName, present: number, missing: number): Promise<number> {
  const exists = async (generation: number): Promise<boolean> =>
    (await store.get(keys.route(model, generation))) !== null;
  let [low, high] = [present, missing];
  for (let step = 1; low + step < high; step *= 2) {
    if (await exists(low + step)) low += step;
    else high = low + step;
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (await exists(middle)) low = middle;
    else high = middle;
  }
  return low;
}

async function verifyNew(
  ports: RouteReaderPorts,
  model: ModelName,
  generation: number,
  held: Cached | null,
): Promise<Cached | null> {
  const opened = await openRoute(ports.store, model, generation);
  if (!opened) return null;
  const { route } = opened;
  const entry = await ports.audit.find(model, route.audit);
  if (entry?.kind !== 'route.intended' || entry.data['content'] !== contentOfRoute(route))
    throw new SlipwayError('AUDIT_BROKEN', `route ${generation} of ${model}: the audit log does not hold its intent`);
  const before =
    held?.opened.route.generation === generation - 1
      ? held.opened
      : await openRoute(ports.store, model, generation - 1);
  if (route.previous !== (before?.digest ?? null))
    throw new SlipwayError('AUDIT_BROKEN', `route ${generation} of ${model} does not follow the route before it`);
  return { opened, recordedAt: new Date(entry.at) };
}

function checkSignature(trust: Trust, model: ModelName, { opened, recordedAt }: Cached): void {
  trust.verify(opened.envelope, {
    payloadType: PAYLOAD_TYPES.route,
    role: 'control',
    project: projectOf(model),
    at: recordedAt,
  });
}
