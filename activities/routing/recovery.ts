import type { ModelName } from '../../workflows/domain/names';
import type { ReleaseRef } from '../../workflows/domain/release';
import type { Route } from '../../workflows/domain/route';
import type { RecoveredDeployment } from '../../workflows/deployment.activities';
import { auditIds } from '../../infra/audit/ids';
import { championOf, previousChampion, walkBack } from '../../infra/routes/history';
import type { StoredRoute } from '../../infra/routes/port';
import { mendRouteHint } from '../../infra/routes/route-index';
import type { RoutingPorts } from './ports';

/** How far back a champion before this one is looked for; a rollout takes five to ten generations. */
const maxLookBack = 200;

const nothing: RecoveredDeployment = {
  generation: 0,
  champion: null,
  previousChampion: null,
  state: 'serving',
  unfinished: null,
};

/** Rebuilds what the deployment workflow must know from routes, releases and the audit log alone. */
export async function recoverDeployment(ports: RoutingPorts, model: ModelName): Promise<RecoveredDeployment> {
  const newest = await ports.reader.newest(model);
  if (!newest) return nothing;
  const { route } = newest;
  // The hint may have been lost to another model's writer, or be wrong; gateways that serve all models find this one by it.
  await mendRouteHint(ports.store, model, route.generation);
  return {
    generation: route.generation,
    champion: championOf(route),
    previousChampion: await championBefore(ports, model, newest),
    state: route.state,
    unfinished: await findUnfinished(ports, model, route),
  };
}

async function championBefore(ports: RoutingPorts, model: ModelName, newest: StoredRoute): Promise<ReleaseRef | null> {
  const champions: ReleaseRef[] = [];
  let looked = 0;
  for await (const { route } of walkBack(ports.store, model, newest)) {
    const champion = championOf(route);
    if (champion) champions.unshift(champion);
    looked += 1;
    if (looked === maxLookBack) break;
  }
  return previousChampion(champions);
}

async function findUnfinished(
  ports: RoutingPorts,
  model: ModelName,
  route: Route,
): Promise<RecoveredDeployment['unfinished']> {
  const { rollout } = route;
  if (!rollout || (await hasEnded(ports, model, rollout.id, route.audit.sequence))) return null;
  const release =
    route.arms.find((arm) => arm.name === 'challenger')?.release ?? route.shadows[0]?.release ?? championOf(route);
  if (!release) return null;
  const manifest = await ports.registry.manifest(release);
  await ports.audit.append(model, {
    id: auditIds.recovered(rollout.id, route.generation),
    kind: 'deployment.recovered',
    actor: 'process:control',
    summary: `${rollout.id} was found unfinished at generation ${route.generation}, its workflow gone`,
    data: { rollout: rollout.id, release, generation: route.generation },
    evidence: [],
  });
  return { id: rollout.id, release, run: manifest.run };
}

/** An end that was recorded before the newest route is that of an earlier rollout with the same id. */
async function hasEnded(ports: RoutingPorts, model: ModelName, rollout: string, after: number): Promise<boolean> {
  for await (const { kind, data, sequence } of ports.audit.entries(model)) {
    if (kind === 'rollout.ended' && sequence > after && data['rollout'] === rollout) return true;
  }
  return false;
}
