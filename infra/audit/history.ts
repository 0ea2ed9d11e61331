import { z } from 'zod';
import type { AuditEntry, AuditRef } from '../../workflows/domain/audit';
import type { Digest } from '../../workflows/domain/digest';
import { keys } from '../../workflows/domain/keys';
import type { ModelName } from '../../workflows/domain/names';
import type { ReleaseRef } from '../../workflows/domain/release';
import type { Arm, Route, RouteState, ShadowArm } from '../../workflows/domain/route';
import type { Clock } from '../../workflows/domain/spec';
import type { ObjectStore } from '../object-store/port';
import { openRoute } from '../routes/document';
import { listNumbered, readChain } from './chain';

/** One route with the decision that made it. */
export interface RouteStep {
  readonly generation: number;
  readonly digest: Digest;
  readonly state: RouteState;
  readonly arms: readonly Arm[];
  readonly shadows: readonly ShadowArm[];
  readonly rollout: Route['rollout'];
  /** When it was committed, wall time; gateways serve it up to one poll later. */
  readonly from: string;
  readonly until: string | null;
  /**
   * Event time that requests had reached when it was committed, and when the next one was; null is unbounded. Gateways report it
   * with a delay: which route answered one request is in the prediction log.
   */
  readonly eventFrom: string | null;
  readonly eventUntil: string | null;
  readonly reason: string;
  readonly actor: string;
  readonly evidence: readonly Digest[];
  readonly audit: AuditRef;
}

export interface ModelHistory {
  readonly model: ModelName;
  /** Oldest first. */
  readonly entries: readonly AuditEntry[];
  readonly routes: readonly RouteStep[];
}

const intentData = z.looseObject({ reason: z.string().catch(''), watermark: z.string().nullable().catch(null) });

/** Everything that was decided about a model. Throws AUDIT_BROKEN where entries do not make a chain; verifies no signature. */
export async function readHistory(store: ObjectStore, model: ModelName): Promise<ModelHistory> {
  const entries: AuditEntry[] = [];
  for await (const { entry } of readChain(store, model, null)) entries.push(entry);
  return { model, entries, routes: await readRoutes(store, model, entries) };
}

async function readRoutes(store: ObjectStore, model: ModelName, entries: readonly AuditEntry[]): Promise<RouteStep[]> {
  const bySequence = new Map(entries.map((entry) => [entry.sequence, entry]));
  const steps: RouteStep[] = [];
  let watermark: string | null = null;
  for (const generation of await listNumbered(store, keys.routes(model))) {
    const opened = await openRoute(store, model, generation);
    if (!opened) continue;
    const { route, digest } = opened;
    const intent = bySequence.get(route.audit.sequence);
    const data = intentData.parse(intent?.data ?? {});
    // A generation that answered nothing took over at the same event time as the one after it.
    watermark = data.watermark ?? watermark;
    const { state, arms, shadows, rollout, audit, committedAt } = route;
    const decided = { reason: data.reason, actor: intent?.actor ?? 'unknown', evidence: intent?.evidence ?? [] };
    steps.push({
      generation,
      digest,
      state,
      arms,
      shadows,
      rollout,
      audit,
      from: committedAt,
      until: null,
      eventFrom: watermark,
      eventUntil: null,
      ...decided,
    });
  }
  return steps.map((step, index) => ({
    ...step,
    until: steps[index + 1]?.from ?? null,
    eventUntil: steps[index + 1]?.eventFrom ?? null,
  }));
}

/** The route in effect at an instant of the given clock; null before the first. */
export function routeAt(routes: readonly RouteStep[], instant: Date, clock: Clock): RouteStep | null {
  const at = instant.getTime();
  const begun = routes.filter(
    (step) =>
      (clock === 'wall' ? Date.parse(step.from) : step.eventFrom === null ? -Infinity : Date.parse(step.eventFrom)) <=
      at,
  );
  return begun.at(-1) ?? null;
}

/** Approvals and rejections of one release that the log holds. */
export function decisionsOn(entries: readonly AuditEntry[], release: ReleaseRef): AuditEntry[] {
  return entries.filter(
    ({ kind, data }) =>
      kind === 'approval.recorded' && (data['release'] as ReleaseRef | undefined)?.digest === release.digest,
  );
}
