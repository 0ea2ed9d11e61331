import type { Digest } from '../../../workflows/domain/digest';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { ReleaseRef } from '../../../workflows/domain/release';
import type { ArmName, Route } from '../../../workflows/domain/route';
import type { Breaker } from './breaker';
import type { Observations } from '../records/observations';
import { ScopeKeys } from '../records/scope-keys';
import { type LoadedRelease, ServedModel } from './served-model';

export type LoadRelease = (ref: ReleaseRef) => Promise<LoadedRelease>;

export interface BuildOptions {
  readonly route: Route;
  readonly digest: Digest;
  readonly confirmedAtMs: number;
  readonly breaker: Breaker;
  readonly observations: Pick<Observations, 'open'>;
  readonly load: LoadRelease;
  /** Whether a challenger or shadow that met this error is left out; the whole route is refused otherwise. */
  readonly mayLeaveOut: (error: SlipwayError) => boolean;
}

/** Opens every release of a route. Throws what `load` throws for the champion, and MODEL_NOT_READY where there is none. */
export async function buildServedModel(options: BuildOptions): Promise<ServedModel> {
  const { route, digest, confirmedAtMs, breaker, observations, load } = options;
  const championRef = refOf(route, 'champion');
  if (!championRef)
    throw new SlipwayError('MODEL_NOT_READY', `generation ${route.generation} of ${route.model} has no champion`);
  const [champion, challenger, ...tried] = await Promise.all([
    load(championRef),
    onTrial(options, refOf(route, 'challenger')),
    ...route.shadows.map(({ release }) => onTrial(options, release)),
  ]);
  const shadows = route.shadows.flatMap(({ name, sample }, index) => {
    const release = tried[index]?.release;
    return release ? [{ name, sample, release }] : [];
  });
  const problem = [challenger, ...tried].find((trial) => trial.problem)?.problem ?? null;
  const scope = ScopeKeys.scopeOf(route.rollout, route.generation);
  const observer = observations.open(route.model, route.generation, scope);
  return new ServedModel(
    route,
    digest,
    champion,
    challenger.release,
    shadows,
    observer,
    breaker,
    confirmedAtMs,
    problem,
  );
}

interface Trial {
  readonly release: LoadedRelease | null;
  readonly problem: SlipwayError | null;
}

async function onTrial({ load, mayLeaveOut }: BuildOptions, ref: ReleaseRef | undefined): Promise<Trial> {
  try {
    const release = ref ? await load(ref) : null;
    // What was approved is not what would answer: it is not tried, and everything else is served.
    if (release?.endpoint?.isChanged) return { release: null, problem: release.endpoint.problem };
    return { release, problem: null };
  } catch (error) {
    if (!(error instanceof SlipwayError) || !mayLeaveOut(error)) throw error;
    return { release: null, problem: error };
  }
}

function refOf(route: Route, name: ArmName): ReleaseRef | undefined {
  return route.arms.find((arm) => arm.name === name)?.release;
}
