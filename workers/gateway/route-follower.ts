import type { RouteReader, StoredRoute } from '../../infra/routes/port';
import type { Logger } from '../../infra/telemetry/log';
import type { Digest } from '../../workflows/domain/digest';
import { SlipwayError } from '../../workflows/domain/errors';
import type { ErrorCode } from '../../workflows/domain/errors';
import type { ModelName } from '../../workflows/domain/names';
import type { ReleaseRef } from '../../workflows/domain/release';
import type { ArmName, Route } from '../../workflows/domain/route';
import { Breaker } from './breaker';
import type { GatewayMetrics } from './metrics';
import type { Observations } from './observations';
import type { ReleaseCache } from './release-cache';
import type { CachedRoute, RouteCache } from './route-cache';
import { ScopeKeys } from './scope-keys';
import type { LoadedRelease } from './served-model';
import { ServedModel } from './served-model';

export interface RouteFollowerOptions {
  readonly reader: RouteReader;
  readonly releases: ReleaseCache;
  readonly cache: RouteCache;
  readonly observations: Observations;
  readonly metrics: GatewayMetrics;
  readonly logger: Logger;
  readonly pollMs: number;
  /** Monotonic: leases are counted on it. */
  readonly nowMs?: () => number;
}

interface Followed {
  served: ServedModel | null;
  /** Served before this generation's champion: kept warm for an instant rollback. */
  previousChampion: LoadedRelease | null;
  problem: { readonly code: ErrorCode; readonly message: string } | null;
  tripped: Set<number>;
  isRetired: boolean;
  /** The look that is under way: a slow store is not asked twice. */
  looking: Promise<void> | null;
}

const KEPT_TRIPPED = 20;

/**
 * Follows the newest verified route of every model. A newer one is served once all its releases are verified and open, by
 * one assignment; a lower or different one is refused; without the store everything goes on as it was.
 */
export class RouteFollower {
  private readonly models = new Map<ModelName, Followed>();
  private readonly nowMs: () => number;
  private timer: NodeJS.Timeout | null = null;
  private stopped = false;
  private polled = false;

  constructor(private readonly options: RouteFollowerOptions) {
    this.nowMs = options.nowMs ?? (() => performance.now());
  }

  /** Opens what was served before the process ended, without the store; then polls. */
  async start(): Promise<void> {
    await Promise.all(this.options.cache.readAll().map((cached) => this.restore(cached)));
    void this.pollLoop();
  }

  stop(): void {
    this.stopped = true;
    if (this.timer) clearTimeout(this.timer);
  }

  served(model: ModelName): ServedModel | undefined {
    return this.models.get(model)?.served ?? undefined;
  }

  all(): readonly { readonly served: ServedModel; readonly problem: Followed['problem'] }[] {
    return [...this.models.values()].flatMap(({ served, problem }) => (served ? [{ served, problem }] : []));
  }

  /** Why a model with a route is not served; null where there is no such model. */
  notReady(model: ModelName): string | null {
    const followed = this.models.get(model);
    if (!followed || followed.served || followed.isRetired) return null;
    return followed.problem ? `${followed.problem.code}: ${followed.problem.message}` : 'its release is being opened';
  }

  /** The first look is over, or every model that was served before is served again. A broken release of one model is told by that model. */
  get isReady(): boolean {
    return this.polled || (this.models.size > 0 && [...this.models.values()].every(({ served }) => served !== null));
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
    this.options.releases.retain(this.usedReleases());
  }

  private look(model: ModelName): Promise<void> {
    const followed = this.follow(model);
    followed.looking ??= this.lookAt(model, followed).finally(() => (followed.looking = null));
    return followed.looking;
  }

  private async lookAt(model: ModelName, followed: Followed): Promise<void> {
    try {
      // The confirmation counts from before the question, so that a slow answer does not lengthen the lease.
      const askedAtMs = this.nowMs();
      const known = followed.served?.route.generation ?? 0;
      const newest = await this.options.reader.newest(model, known);
      if (newest) await this.take(followed, newest, askedAtMs);
      else if (followed.served) throw new SlipwayError('AUDIT_BROKEN', `the route of ${model} was there and is gone`);
    } catch (error) {
      this.refused(model, followed, error);
    }
  }

  private async take(followed: Followed, newest: StoredRoute, askedAtMs: number): Promise<void> {
    const { served } = followed;
    const known = served?.route.generation ?? 0;
    const { generation, model } = newest.route;
    if (generation < known)
      throw new SlipwayError('AUDIT_BROKEN', `the store went back from generation ${known} to ${generation}`);
    if (served && generation === known) {
      if (newest.digest !== served.digest)
        throw new SlipwayError('AUDIT_BROKEN', `generation ${generation} of ${model} was changed`);
      if (served.isRestored) await this.options.releases.verify(served.releases);
      served.isRestored = false;
      served.confirmedAtMs = askedAtMs;
    } else if (newest.route.state === 'retired') this.retire(followed, model);
    else await this.swap(followed, newest, askedAtMs);
    followed.problem = null;
  }

  private async swap(followed: Followed, { route, digest }: StoredRoute, confirmedAtMs: number): Promise<void> {
    const next = await this.build(route, digest, confirmedAtMs, followed.tripped, (ref) =>
      this.options.releases.load(ref),
    );
    const before = followed.served;
    if (before && before.champion.ref.digest !== next.champion.ref.digest) followed.previousChampion = before.champion;
    followed.served = next;
    followed.isRetired = false;
    this.save(next, followed);
    const { generation, model } = route;
    this.options.logger.info(
      { model, generation, champion: next.champion.ref.version, challenger: next.challenger?.ref.version ?? null },
      'route taken',
    );
  }

  private async build(
    route: Route,
    digest: Digest,
    confirmedAtMs: number,
    tripped: ReadonlySet<number>,
    load: (ref: ReleaseRef) => Promise<LoadedRelease>,
  ): Promise<ServedModel> {
    const release = async (name: ArmName): Promise<LoadedRelease | null> => {
      const arm = route.arms.find((candidate) => candidate.name === name);
      return arm ? load(arm.release) : null;
    };
    const [champion, challenger] = await Promise.all([release('champion'), release('challenger')]);
    const shadows = await Promise.all(
      route.shadows.map(async ({ name, sample, release: ref }) => ({ name, sample, release: await load(ref) })),
    );
    if (!champion)
      throw new SlipwayError('MODEL_NOT_READY', `generation ${route.generation} of ${route.model} has no champion`);
    const observer = this.options.observations.open(
      route.model,
      route.generation,
      ScopeKeys.scopeOf(route.rollout, route.generation),
    );
    return new ServedModel(
      route,
      digest,
      champion,
      challenger,
      shadows,
      observer,
      new Breaker(tripped.has(route.generation)),
      confirmedAtMs,
    );
  }

  /** The challenger stays out until the store confirms the route: a disk knows nothing of what happened since. */
  private async restore(cached: CachedRoute): Promise<void> {
    const followed = this.follow(cached.route.model);
    followed.tripped = new Set(cached.tripped);
    const manifestOf = new Map(cached.releases.map(({ ref, manifest }) => [ref.digest, manifest]));
    try {
      followed.served = await this.build(cached.route, cached.digest, -Infinity, followed.tripped, (ref) =>
        this.options.releases.reopen(ref, manifestOf.get(ref.digest)!),
      );
      followed.served.isRestored = true;
    } catch (error) {
      this.refused(cached.route.model, followed, error);
    }
  }

  /** A key was listed as compromised since this was verified (I2): that alone takes from disk what was served before. */
  private stopServing(model: ModelName, followed: Followed, served: ServedModel): void {
    followed.served = null;
    this.options.cache.remove(model);
    this.options.releases.forget(served.releases);
  }

  private retire(followed: Followed, model: ModelName): void {
    followed.served = null;
    followed.isRetired = true;
    this.options.cache.remove(model);
  }

  private save(served: ServedModel, { tripped }: Followed): void {
    const releases = served.releases.map(({ ref, manifest }) => ({ ref, manifest }));
    this.options.cache.save({ route: served.route, digest: served.digest, releases, tripped: [...tripped] });
  }

  private usedReleases(): ReadonlySet<Digest> {
    const used = new Set<Digest>();
    for (const { served, previousChampion } of this.models.values()) {
      for (const release of served?.releases ?? []) used.add(release.ref.digest);
      if (previousChampion) used.add(previousChampion.ref.digest);
    }
    return used;
  }

  private follow(model: ModelName): Followed {
    let followed = this.models.get(model);
    if (!followed)
      this.models.set(
        model,
        (followed = {
          served: null,
          previousChampion: null,
          problem: null,
          tripped: new Set(),
          isRetired: false,
          looking: null,
        }),
      );
    return followed;
  }

  private storeFailed(error: unknown): void {
    this.options.metrics.countEvent('store-failed');
    this.options.logger.warn({ err: error }, 'the store did not answer; serving goes on');
  }

  /** What was served is served on; the challenger's lease runs out, since its route is not confirmed. */
  private refused(model: ModelName, followed: Followed, error: unknown): void {
    const code = error instanceof SlipwayError ? error.code : 'INTERNAL';
    const message = error instanceof Error ? error.message : String(error);
    if (code === 'STORE_UNAVAILABLE') this.options.metrics.countEvent('store-failed');
    else {
      this.options.metrics.countEvent('route-refused');
      // Each poll meets it again; once is enough for people.
      if (followed.problem?.message !== message)
        this.options.logger.error({ err: error, model }, 'a newer route is not served');
      followed.problem = { code, message };
      if (code === 'KEY_REVOKED' && followed.served?.isRestored) this.stopServing(model, followed, followed.served);
    }
  }
}
