import type { ReleaseRef } from '../../workflows/domain/release';
import type { Route } from '../../workflows/domain/route';
import type { AssignmentSpec, ModelSpec } from '../../workflows/domain/spec';
import type { RoutePlan } from '../../workflows/deployment.activities';
import type { StoredRoute } from '../../infra/routes/port';
import { commitRoute, type RouteCommit } from '../../infra/routes/writer';
import type { RoutingPorts } from './ports';
import { readWatermark } from './watermark';

/** A gateway that cannot confirm its route for so long serves the champion only (invariant I4). */
const CHALLENGER_LEASE_MS = 10_000;

/** Releases that the route before did not serve are verified here too (I2): a workflow is only as right as its code. */
export async function commitPlan(ports: RoutingPorts, plan: RoutePlan): ReturnType<typeof commitRoute> {
  const before = await ports.reader.at(plan.model, plan.onGeneration);
  const served = releasesOf(plan);
  // A retired model served nobody, and its keys may have been revoked since.
  const comesBack = before?.route.state === 'retired' && plan.state !== 'retired';
  const wasServed = before && !comesBack ? releasesOf(before.route) : [];
  const serving = new Set(wasServed.map((release) => release.digest));
  for (const release of served) if (!serving.has(release.digest)) await ports.registry.verify(release, 'serve');
  const commit: RouteCommit = {
    route: await routeOf(ports, plan, before, served),
    onGeneration: plan.onGeneration,
    reason: plan.reason,
    actor: plan.actor,
    evidence: plan.evidence,
    watermark: before?.route.clock === 'event' ? await readWatermark(ports.store, plan.model, plan.onGeneration) : null,
  };
  return commitRoute({ ...ports, workspace: ports.trust.policy.workspace }, commit);
}

/** Challenger first: its spec rules its rollout. */
function releasesOf(route: Pick<Route, 'arms' | 'shadows'>): ReleaseRef[] {
  const arms = [...route.arms].sort((a, b) => Number(b.name === 'challenger') - Number(a.name === 'challenger'));
  return [...arms, ...route.shadows].map(({ release }) => release);
}

async function routeOf(
  ports: RoutingPorts,
  plan: RoutePlan,
  before: StoredRoute | null,
  served: readonly ReleaseRef[],
): Promise<RouteCommit['route']> {
  const { model, intent, state, arms, shadows, paired, rollout } = plan;
  const ruling = await rulesOf(ports, plan, before, served[0] ?? null);
  // The salt of a rollout stays for all of its steps, so that a key on the challenger at 5 % stays on it at 25 %.
  const salt = rollout?.id ?? before?.route.salt ?? intent;
  return {
    model,
    intent,
    state,
    arms,
    shadows,
    paired,
    rollout,
    salt,
    challengerLeaseMs: CHALLENGER_LEASE_MS,
    ...ruling,
  };
}

async function rulesOf(
  ports: RoutingPorts,
  plan: RoutePlan,
  before: StoredRoute | null,
  ruling: ReleaseRef | null,
): Promise<Pick<Route, 'assignment' | 'clock'>> {
  const manifest = ruling ? await ports.registry.manifest(ruling) : null;
  const known = plan.assignment ?? before?.route.assignment;
  const fallback: AssignmentSpec = { source: 'request' };
  const assignment = known ?? (manifest ? (await ports.blobs.getJson<ModelSpec>(manifest.spec)).assignment : fallback);
  return { assignment, clock: manifest?.clock ?? before?.route.clock ?? 'wall' };
}
