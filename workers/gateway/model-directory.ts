import { SlipwayError } from '../../workflows/domain/errors';
import type { ModelName } from '../../workflows/domain/names';
import type { Models } from './models';
import { invalid, quote } from './inference/protocol';
import type { LoadedRelease } from './routes/served-model';
import { ServedModel } from './routes/served-model';

/** Throws MODEL_UNKNOWN or MODEL_NOT_READY. */
export function findModel(models: Pick<Models, 'served' | 'notReady'>, model: ModelName): ServedModel {
  const served = models.served(model);
  if (served) return served;
  const reason = models.notReady(model);
  if (reason !== null) throw new SlipwayError('MODEL_NOT_READY', `${model} is not ready: ${reason}`);
  throw new SlipwayError('MODEL_UNKNOWN', `no model ${quote(model)} is served here`);
}

/** The release of a version that is served, in whatever place; the champion where no version is given. Throws as `findModel` does. */
export function findRelease(served: ServedModel, version: string | null): LoadedRelease {
  if (version === null) return served.champion;
  const release = served.releases.find(({ ref }) => String(ref.version) === version);
  if (release) return release;
  throw new SlipwayError('MODEL_UNKNOWN', `version ${quote(version)} of ${served.route.model} is not served`);
}

/** Throws why the server behind a release gives no scores now. */
export function checkAnswers({ endpoint }: LoadedRelease): void {
  const refusal = endpoint?.refusal;
  if (refusal) throw refusal;
}

/**
 * What serves a request for one version: the champion alone. A version on trial is refused, since only the route decides who
 * reaches it (invariant I2). Throws REQUEST_INVALID and MODEL_UNKNOWN.
 */
export function pinned(served: ServedModel, version: string): ServedModel {
  if (findRelease(served, version) !== served.champion)
    throw invalid(
      `version ${quote(version)} of ${served.route.model} is on trial; the route decides who reaches it: leave /versions/… out`,
    );
  if (!served.challenger) return served;
  let alone = championAlone.get(served);
  if (!alone) championAlone.set(served, (alone = withoutChallenger(served)));
  return alone;
}

const championAlone = new WeakMap<ServedModel, ServedModel>();

/** Callers that choose their arm are no random sample of it: their requests are logged, and count for no verdict. */
function withoutChallenger({ route, digest, champion, observer, breaker, confirmedAtMs }: ServedModel): ServedModel {
  const uncounted = Object.assign(Object.create(observer) as typeof observer, {
    answer: () => false,
    pair: () => undefined,
  });
  return new ServedModel(route, digest, champion, null, [], uncounted, breaker, confirmedAtMs);
}
