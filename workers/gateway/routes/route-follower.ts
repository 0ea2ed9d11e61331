import type { RouteReader, StoredRoute } from '../../../infra/routes/port';
import { compromisedKeyOf } from '../../../infra/signing/compromised-key';
import type { Trust, WorkspacePolicy } from '../../../infra/signing/port';
import type { Logger } from '../../../infra/telemetry/log';
import type { Digest } from '../../../workflows/domain/digest';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { ModelName } from '../../../workflows/domain/names';
import type { ReleaseRef } from '../../../workflows/domain/release';
import type { Route } from '../../../workflows/domain/route';
import type { BlobFolder } from './blob-folder';
import { Breaker } from './breaker';
import { buildServedModel, type LoadRelease } from './build-served-model';
import { type FollowedModel, isPassing, newFollowedModel, refuseStepBack } from './followed-model';
import type { GatewayMetrics } from '../metrics';
import type { Observations } from '../records/observations';
import type { ReleaseCache, ReleasesInUse } from './release-cache';
import type { CachedModel, CachedRoute, RouteCache } from './route-cache';
import type { LoadedRelease, ServedModel } from './served-model';

export interface RouteFollowerOptions {
  readonly reader: RouteReader;
  readonly trust: Pick<Trust, 'policy'>;
  readonly releases: ReleaseCache;
  readonly cache: RouteCache;
  readonly observations: Observations;
  readonly metrics: GatewayMetrics;
  readonly logger: Logger;
  readonly pollMs: number;
  /** Takes the files of past releases away. */
  readonly blobs?: Pick<BlobFolder, 'sweep'>;
  /** Monotonic: leases are counted on it. */
  readonly nowMs?: () => number;
}

/** When the store was asked, and under which policy its answer was verified. */
interface Asked {
  readonly atMs: number;
  readonly policy: WorkspacePolicy;
}

const NOT_SERVED = 'the model is not served';
const KEPT_TRIPPED = 20;

/**
 * Follows the newest verified route of every model. A newer one is served once all its releases are verified and open, by
 * one assignment; a lower or different one is refused; without the store everything goes on as it was.
 */
export class RouteFollower {
  private readonly models = new Map<ModelName, FollowedModel>();
  private readonly nowMs: () => number;
  private timer: NodeJS.Timeout | null = null;
  private stopped = false;
  private polled = false;

  constructor(private readonly options: RouteFollowerOptions) {
    this.nowMs = options.nowMs ?? (() => performance.now());
  }

  /** Opens what was served before the process ended, without the store; then polls. */
  async start(): Promise<void> {
    const cached = this.options.cache.readAll();
    cached.forEach((model) => this.remember(model));
    await Promise.all(cached.flatMap((model) => ('route' in model ? [this.restore(model)] : [])));
    void this.pollLoop();
  }

  stop(): void {
    this.stopped = true;
    if (this.timer) clearTimeout(this.timer);
  }

  served(model: ModelName): ServedModel | undefined {
    return this.models.get(model)?.served ?? undefined;
  }

  all(): readonly { readonly served: ServedModel; readonly problem: FollowedModel['problem'] }[] {
    return [...this.models.values()].flatMap(({ served, problem }) => (served ? [{ served, problem }] : []));
  }

  /** Models whose newest route, or an arm of it, rests on a compromised key. */
  compromised(): readonly ModelName[] {
    return [...this.models].flatMap(([model, { compromisedKey }]) => (compromisedKey === null ? [] : [model]));
  }

  /** Why a model with a route is not served; null where there is no such model. */
  notReady(model: ModelName): string | null {
    const followed = this.models.get(model);
    if (!followed || followed.served || followed.isRetired) return null;
    return followed.problem ? `${followed.problem.code}: ${followed.problem.message}` : 'its release is being opened';
  }

  /** The models that `notReady` tells of. */
  waiting(): readonly { readonly model: ModelName; readonly reason: string }[] {
    return [...this.models.keys()].flatMap((model) => {
      const reason = this.notReady(model);
      return reason === null ? [] : [{ model, reason }];
    });
  }

  /** The first look is over, or every model that was served before is served again. A broken release of one model is told by that model. */
  get isReady(): boolean {
    const models = [...this.models.values()];
    return this.polled || (models.length > 0 && models.every(({ served, isRetired }) => served !== null || isRetired));
  }

  /** Remembers, over restarts too, that the challenger of this generation is out. */
  breakerTripped(served: ServedModel): void {
    const followed = this.models.get(served.route.model);
    if (!followed) return;
    followed.tripped = new Set([...followed.tripped, served.route.generation].slice(-KEPT_TRIPPED));
    if (followed.served) this.save(followed.served, followed);
  }

  private async pollLoop(): Promise<void> {
    while (!this.stopped) {
      await this.poll();
      if (this.stopped) return;
      await new Promise<void>((resolve) => (this.timer = setTimeout(resolve, this.options.pollMs)));
    }
  }

  /** One look at every model. A model whose look takes long does not hold up the others, nor the next round. */
  async poll(): Promise<void> {
    const hinted = await this.options.reader.models().catch((error: unknown) => {
      this.storeFailed(error);
      return null;
    });
    const looks = [...new Set([...(hinted ?? []), ...this.models.keys()])].map((model) => this.look(model));
    await Promise.race([
      Promise.all(looks),
      new Promise((resolve) => setTimeout(resolve, this.options.pollMs).unref()),
    ]);
    if (hinted !== null) void Promise.all(looks).then(() => (this.polled = true));
    this.options.releases.retain(this.releasesInUse());
  }

  private async look(model: ModelName): Promise<void> {
    const followed = this.follow(model);
    if (followed.asking) return void (await followed.asking.catch(() => undefined));
    try {
      // The confirmation counts from before the question, so that a slow answer does not lengthen the lease; so does the policy.
      const asked = { atMs: this.nowMs(), policy: this.options.trust.policy };
      followed.asking = this.ask(model, followed, asked.policy).finally(() => (followed.asking = null));
      const newest = await followed.asking;
      if (newest) await this.take(followed, newest, asked);
    } catch (error) {
      this.refused(model, followed, error);
    }
  }

  private async ask(model: ModelName, followed: FollowedModel, policy: WorkspacePolicy): Promise<StoredRoute | null> {
    const problem = await this.recheck(model, followed, policy);
    const known = followed.known?.generation ?? 0;
    const newest = await this.options.reader.newest(model, known);
    if (!newest && known > 0) throw new SlipwayError('AUDIT_BROKEN', `the route of ${model} was there and is gone`);
    if (problem && newest?.route.generation === known) throw problem;
    return newest;
  }

  /**
   * Verifies what is served anew after the trust policy changed, and after a start from disk (I2). Gives what is wrong with it, since
   * a newer route may be good; throws what may be over at the next look.
   */
  private async recheck(
    model: ModelName,
    followed: FollowedModel,
    policy: WorkspacePolicy,
  ): Promise<SlipwayError | null> {
    const { served } = followed;
    if (!served || served.verifiedUnder === policy) return null;
    try {
      await this.options.reader.at(model, served.route.generation);
      const next = await this.rebuild(served);
      // A newer route may have been put in place meanwhile; it was verified when it was opened.
      if (followed.served === served) this.putInPlace(followed, next, policy);
      return null;
    } catch (error) {
      if (isPassing(error)) throw error;
      if (compromisedKeyOf(error) !== null && followed.served === served) this.stopServing(followed, served, error);
      return error as SlipwayError;
    }
  }

  /**
   * The same route with what still verifies. Only a compromised key takes the champion; where it does not verify for another
   * reason (a key was taken out of the trust file), it serves on, and challenger and shadows that do not are left out.
   */
  private async rebuild(served: ServedModel): Promise<ServedModel> {
    const { champion } = served;
    let problem: SlipwayError | null = null;
    const load = async (ref: ReleaseRef): Promise<LoadedRelease> => {
      try {
        return await this.options.releases.load(ref);
      } catch (error) {
        if (ref.digest !== champion.ref.digest || compromisedKeyOf(error) !== null || isPassing(error)) throw error;
        problem = error as SlipwayError;
        return champion;
      }
    };
    const { route, digest, confirmedAtMs, breaker } = served;
    const next = await this.build(route, digest, { confirmedAtMs, breaker }, load, (error) => !isPassing(error));
    next.problem ??= problem;
    return next;
  }

  private async take(followed: FollowedModel, newest: StoredRoute, asked: Asked): Promise<void> {
    const { served } = followed;
    const { generation, model, state } = newest.route;
    refuseStepBack(followed.known, newest);
    if (served?.route.generation === generation) {
      served.confirmedAtMs = asked.atMs;
      this.tellProblem(followed, served);
    } else if (state === 'retired') this.retire(followed, model, newest);
    else await this.open(followed, newest, asked);
  }

  private open(followed: FollowedModel, newest: StoredRoute, asked: Asked): Promise<void> {
    if (followed.opening?.digest !== newest.digest) {
      this.want(followed, newest);
      const opening = { digest: newest.digest, done: this.swap(followed, newest, asked) };
      followed.opening = opening;
      opening.done = opening.done
        .catch((error: unknown) => {
          if (followed.opening === opening) this.refused(newest.route.model, followed, error);
        })
        .finally(() => {
          followed.wanted.delete(newest.digest);
          if (followed.opening === opening) followed.opening = null;
        });
    }
    return followed.opening.done;
  }

  private async swap(followed: FollowedModel, { route, digest }: StoredRoute, asked: Asked): Promise<void> {
    const breaker = new Breaker(followed.tripped.has(route.generation));
    const load = (ref: ReleaseRef): Promise<LoadedRelease> => this.options.releases.load(ref);
    const isCompromised = (error: unknown): boolean => compromisedKeyOf(error) !== null;
    const next = await this.build(route, digest, { confirmedAtMs: asked.atMs, breaker }, load, isCompromised);
    if (followed.opening?.digest !== digest) return;
    this.putInPlace(followed, next, asked.policy);
    const { generation, model } = route;
    this.options.logger.info(
      { model, generation, champion: next.champion.ref.version, challenger: next.challenger?.ref.version ?? null },
      'route taken',
    );
  }

  private putInPlace(followed: FollowedModel, next: ServedModel, policy: WorkspacePolicy): void {
    const before = followed.served;
    if (before && before.champion.ref.digest !== next.champion.ref.digest) followed.previousChampion = before.champion;
    next.verifiedUnder = policy;
    followed.served = next;
    followed.isRetired = false;
    followed.known = { generation: next.route.generation, digest: next.digest };
    this.save(next, followed);
    void this.options.blobs?.sweep(this.filesInUse());
    this.tellProblem(followed, next);
  }

  private tellProblem(followed: FollowedModel, { problem, route }: ServedModel): void {
    if (problem) return this.tell(route.model, followed, problem, 'the route is served without what does not verify');
    followed.problem = null;
    followed.compromisedKey = null;
  }

  private build(
    route: Route,
    digest: Digest,
    state: Pick<ServedModel, 'confirmedAtMs' | 'breaker'>,
    load: LoadRelease,
    mayLeaveOut: (error: SlipwayError) => boolean,
  ): Promise<ServedModel> {
    const { observations } = this.options;
    return buildServedModel({ route, digest, ...state, observations, load, mayLeaveOut });
  }

  /** Before anything is opened: what is on disk is as new as this gateway has ever seen. */
  private remember(cached: CachedModel): void {
    if ('route' in cached) {
      const { route, digest } = cached;
      this.follow(route.model).known = { generation: route.generation, digest };
    } else Object.assign(this.follow(cached.model), { known: cached.known, isRetired: cached.isRetired });
  }

  /** The challenger stays out until the store confirms the route: a disk knows nothing of what happened since. */
  private async restore(cached: CachedRoute): Promise<void> {
    const followed = this.follow(cached.route.model);
    followed.tripped = new Set(cached.tripped);
    const manifestOf = new Map(cached.releases.map(({ ref, manifest }) => [ref.digest, manifest]));
    const reopen = async (ref: ReleaseRef): Promise<LoadedRelease> => {
      const manifest = manifestOf.get(ref.digest);
      if (!manifest) throw new SlipwayError('MODEL_NOT_READY', `version ${ref.version} was not served when this ended`);
      return this.options.releases.reopen(ref, manifest);
    };
    const breaker = new Breaker(followed.tripped.has(cached.route.generation));
    this.want(followed, cached);
    try {
      followed.served = await this.build(
        cached.route,
        cached.digest,
        { confirmedAtMs: -Infinity, breaker },
        reopen,
        () => true,
      );
    } catch (error) {
      this.refused(cached.route.model, followed, error);
    } finally {
      followed.wanted.delete(cached.digest);
    }
  }

  private want(followed: FollowedModel, { route, digest }: StoredRoute): void {
    followed.wanted.set(
      digest,
      [...route.arms, ...route.shadows].map(({ release }) => release.digest),
    );
    this.options.releases.use(this.releasesInUse());
  }

  /** Only a compromised key does this (I2). What had served before stays refused when the store offers it again. */
  private stopServing(followed: FollowedModel, served: ServedModel, error: unknown): void {
    const { model, generation } = served.route;
    this.takeDown(followed, model);
    this.options.cache.saveKnown({ model, known: { generation, digest: served.digest }, isRetired: false });
    this.options.releases.forget(served.releases.map(({ ref }) => ref));
    this.tell(model, followed, error, NOT_SERVED);
  }

  /** Lower generations stay refused after this, over a restart too. */
  private retire(followed: FollowedModel, model: ModelName, { route, digest }: StoredRoute): void {
    followed.opening = null;
    followed.problem = null;
    followed.compromisedKey = null;
    if (followed.isRetired && followed.known?.generation === route.generation) return;
    followed.known = { generation: route.generation, digest };
    followed.isRetired = true;
    this.takeDown(followed, model);
    this.options.cache.saveKnown({ model, known: followed.known, isRetired: true });
    this.options.logger.info({ model, generation: route.generation }, 'model retired');
  }

  private takeDown(followed: FollowedModel, model: ModelName): void {
    followed.served = null;
    followed.previousChampion = null;
    this.options.observations.retire(model);
  }

  private save(served: ServedModel, { tripped }: FollowedModel): void {
    const releases = served.releases.map(({ ref, manifest }) => ({ ref, manifest }));
    this.options.cache.save({ route: served.route, digest: served.digest, releases, tripped: [...tripped] });
  }

  private releasesInUse(): ReleasesInUse {
    const inUse = { served: new Set<Digest>(), warm: new Set<Digest>() };
    for (const { served, previousChampion, wanted } of this.models.values()) {
      for (const release of served?.releases ?? []) inUse.served.add(release.ref.digest);
      for (const digest of [...wanted.values()].flat()) inUse.served.add(digest);
      if (previousChampion) inUse.warm.add(previousChampion.ref.digest);
    }
    return inUse;
  }

  private filesInUse(): ReadonlySet<Digest> {
    const releases = [...this.models.values()].flatMap(({ served, previousChampion }) => [
      ...(served?.releases ?? []),
      ...(previousChampion ? [previousChampion] : []),
    ]);
    return new Set(releases.flatMap(({ manifest }) => [manifest.onnx, manifest.samples]));
  }

  private follow(model: ModelName): FollowedModel {
    let followed = this.models.get(model);
    if (!followed) this.models.set(model, (followed = newFollowedModel()));
    return followed;
  }

  private storeFailed(error: unknown): void {
    this.options.metrics.countEvent('store-failed');
    this.options.logger.warn({ err: error }, 'the store did not answer; serving goes on');
  }

  /** What was served is served on; the challenger's lease runs out, since its route is not confirmed. */
  private refused(model: ModelName, followed: FollowedModel, error: unknown): void {
    if (this.stopped) return;
    if (error instanceof SlipwayError && error.code === 'STORE_UNAVAILABLE')
      this.options.metrics.countEvent('store-failed');
    else {
      this.options.metrics.countEvent('route-refused');
      this.tell(model, followed, error, followed.served ? 'a newer route is not served' : NOT_SERVED);
    }
  }

  /** Each poll meets it again; once is enough for people. A compromised key is told by a metric too, for paging. */
  private tell(model: ModelName, followed: FollowedModel, error: unknown, what: string): void {
    const code = error instanceof SlipwayError ? error.code : 'INTERNAL';
    const message = error instanceof Error ? error.message : String(error);
    const keyId = compromisedKeyOf(error);
    followed.compromisedKey = keyId;
    if (followed.problem?.message !== message)
      this.options.logger.error(
        { err: error, model, ...(keyId === null ? {} : { compromisedKey: keyId }) },
        keyId === null ? what : `a key listed as compromised is in use: ${what}`,
      );
    followed.problem = { code, message };
  }
}
