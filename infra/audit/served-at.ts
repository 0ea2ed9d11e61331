import { offeredMap } from '../../workflows/domain/calibration';
import type { Digest } from '../../workflows/domain/digest';
import { SlipwayError } from '../../workflows/domain/errors';
import { keys } from '../../workflows/domain/keys';
import type { ModelName } from '../../workflows/domain/names';
import type { ReleaseManifest, ReleaseRef } from '../../workflows/domain/release';
import type { EvidenceDocument } from '../../workflows/domain/run';
import type { Clock } from '../../workflows/domain/spec';
import type { CalibrationMap } from '../../workflows/domain/statistics/calibration-map';
import type { GateResult } from '../../workflows/domain/verdict';
import { digestOf } from '../object-store/digest';
import type { ObjectStore } from '../object-store/port';
import { readManifest } from '../releases/manifest';
import { createRouteReader } from '../routes/reader';
import type { Trust } from '../signing/port';
import { decisionsOn, readHistory, routeAt, type ModelHistory, type RouteStep } from './history';
import { createAuditLog } from './log';

/** One release that served, and what it was let through on. */
export interface ServedRelease {
  readonly release: ReleaseRef;
  /** Share of assignment keys; null for a shadow. */
  readonly weight: number | null;
  readonly run: string;
  readonly startedBy: string;
  readonly evidence: Digest;
  readonly gates: readonly GateResult[];
  readonly approvalsRequired: number;
  readonly approvals: readonly { readonly person: string; readonly at: string; readonly comment: string }[];
  readonly production: boolean;
  /** What calibrated probabilities are by; null where its answers have none. */
  readonly calibration: CalibrationMap | null;
}

/** What one route served, and by whose decision. */
export interface ServedRoute {
  readonly route: RouteStep;
  readonly champion: ServedRelease | null;
  readonly challenger: ServedRelease | null;
  readonly shadows: readonly ServedRelease[];
}

export interface ServedAt extends ServedRoute {
  readonly model: ModelName;
  readonly clock: Clock;
  readonly instant: string;
}

/**
 * What served a model at an instant: in wall time by when routes were committed, in event time by how far requests had come then.
 * The route, its entry and the manifests are verified; null before the first route. Throws AUDIT_BROKEN, SIGNATURE_INVALID,
 * RELEASE_TAMPERED and the like where they do not verify.
 */
export async function servedAt(
  store: ObjectStore,
  trust: Trust,
  model: ModelName,
  instant: Date,
  options: { clock?: Clock } = {},
): Promise<ServedAt | null> {
  const clock = options.clock ?? 'wall';
  const history = await readHistory(store, model);
  const route = routeAt(history.routes, instant, clock);
  if (!route) return null;
  return { model, clock, instant: instant.toISOString(), ...(await describeRoute(store, trust, history, route)) };
}

/** The same of the route of one generation, which a prediction names. Null where the model never had it. */
export async function servedBy(
  store: ObjectStore,
  trust: Trust,
  model: ModelName,
  generation: number,
): Promise<ServedRoute | null> {
  const history = await readHistory(store, model);
  const route = history.routes.find((candidate) => candidate.generation === generation);
  return route ? describeRoute(store, trust, history, route) : null;
}

async function describeRoute(
  store: ObjectStore,
  trust: Trust,
  history: ModelHistory,
  route: RouteStep,
): Promise<ServedRoute> {
  const { model } = history;
  const audit = createAuditLog(store, { workspace: trust.policy.workspace, signer: null });
  const verified = await createRouteReader({ store, trust, audit }).at(model, route.generation);
  if (verified?.digest !== route.digest)
    throw new SlipwayError('AUDIT_BROKEN', `route ${route.generation} of ${model} changed while it was read`);
  const describe = (release: ReleaseRef, weight: number | null): Promise<ServedRelease> =>
    describeRelease(store, history, release, weight);
  const arm = async (name: 'champion' | 'challenger'): Promise<ServedRelease | null> => {
    const found = route.arms.find((candidate) => candidate.name === name);
    return found ? describe(found.release, found.weight) : null;
  };
  const [champion, challenger] = [await arm('champion'), await arm('challenger')];
  const shadows = await Promise.all(route.shadows.map((shadow) => describe(shadow.release, null)));
  return { route, champion, challenger, shadows };
}

async function describeRelease(
  store: ObjectStore,
  history: ModelHistory,
  release: ReleaseRef,
  weight: number | null,
): Promise<ServedRelease> {
  const stored = await readManifest(store, release.model, release.version);
  if (stored?.ref.digest !== release.digest)
    throw new SlipwayError(
      'RELEASE_TAMPERED',
      `release ${release.version} of ${release.model} is not the one that served`,
    );
  const { manifest } = stored;
  const approvals = decisionsOn(history.entries, release)
    .filter(({ data }) => data['decision'] === 'approve')
    .map(({ actor, at, data }) => ({
      person: actor,
      at,
      comment: typeof data['comment'] === 'string' ? data['comment'] : '',
    }));
  return {
    release,
    weight,
    run: manifest.run,
    startedBy: manifest.lineage.startedBy,
    evidence: manifest.evidence,
    gates: await readGates(store, manifest),
    approvalsRequired: manifest.approvalsRequired,
    approvals,
    production: manifest.production,
    calibration: offeredMap(manifest),
  };
}

/** Evidence that was lost since is told by its digest; evidence that is another now is not shown. */
async function readGates(store: ObjectStore, manifest: ReleaseManifest): Promise<readonly GateResult[]> {
  const bytes = await store.get(keys.blob(manifest.evidence));
  if (!bytes) return [];
  if (digestOf(bytes) !== manifest.evidence)
    throw new SlipwayError('STORE_CORRUPT', `the evidence ${manifest.evidence} holds other bytes`);
  return (JSON.parse(Buffer.from(bytes).toString('utf8')) as EvidenceDocument).gates;
}
