import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { SlipwayConfig } from '../../infra/config/config';
import type { BlobStore, ObjectStore } from '../../infra/object-store/port';
import type { ReleaseRegistry } from '../../infra/releases/port';
import type { RouteReader } from '../../infra/routes/port';
import type { Logger } from '../../infra/telemetry/log';
import { createMetrics } from '../../infra/telemetry/metrics';
import { keys } from '../../workflows/domain/keys';
import type { BreakerEvent } from '../../workflows/domain/observation';
import { Executor } from './executor';
import { CHALLENGER } from './prediction-row';
import { Heartbeat } from './heartbeat';
import { InferenceService } from './inference';
import { GatewayMetrics } from './metrics';
import { Observations } from './observations';
import { Outbox } from './outbox';
import { PredictionLog } from './prediction-log';
import type { RequestLimits } from './protocol';
import { DEFAULT_LIMITS } from './protocol';
import { ReleaseCache } from './release-cache';
import { RouteCache } from './route-cache';
import { RouteFollower } from './route-follower';
import type { ServedModel } from './served-model';
import { GatewayServer } from './server';

/** What the gateway needs of the outside: the object store, and what makes its bytes believable. */
export interface GatewayPorts {
  readonly store: Pick<ObjectStore, 'put'>;
  /** Its folder must be this gateway's own: see `cacheFolder`. */
  readonly blobs: Pick<BlobStore, 'file'>;
  readonly reader: RouteReader;
  readonly registry: Pick<ReleaseRegistry, 'verify'>;
}

export interface GatewayOptions {
  readonly config: Pick<SlipwayConfig, 'home' | 'gateway'>;
  readonly logger: Logger;
  readonly ports: GatewayPorts;
  readonly limits?: RequestLimits;
  /** Monotonic clock of leases; tests move it. */
  readonly nowMs?: () => number;
}

export interface Gateway {
  readonly url: string;
  readonly port: number;
  readonly incarnation: string;
  /** One look at the store now, beside the regular ones. */
  poll(): Promise<void>;
  /** Answers what it has taken, then puts counts, log and heartbeat; loses nothing. */
  close(): Promise<void>;
}

const MAX_QUEUED_ROWS = 8_192;
const MAX_BACKGROUND_ROWS = 2_048;

/** Folder of what this gateway keeps: routes, model files, journals, files on their way. */
export function cacheFolder(config: Pick<SlipwayConfig, 'home' | 'gateway'>): string {
  return join(config.home, 'gateway', config.gateway.id);
}

export function newIncarnation(id: string): string {
  const stamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14);
  return `${id}-${stamp}-${randomBytes(3).toString('hex')}`;
}

/** Starts a gateway; resolves when it listens, which may be before a model is ready. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const parts = assemble(options);
  const { follower, server, logger } = parts;
  await follower.start();
  const address = await server.listen();
  const heartbeat = new Heartbeat({
    id: options.config.gateway.id,
    incarnation: parts.incarnation,
    address: address.url,
    follower,
    put: parts.put,
    onProblem: parts.problem('store-failed'),
  });
  void heartbeat.beat(false);
  logger.info({ url: address.url, incarnation: parts.incarnation }, 'gateway listens');
  return {
    url: address.url,
    port: address.port,
    incarnation: parts.incarnation,
    poll: () => follower.poll(),
    close: () => close(parts, heartbeat),
  };
}

interface Parts {
  readonly incarnation: string;
  readonly logger: Logger;
  readonly put: (key: string, bytes: Uint8Array) => Promise<void>;
  readonly problem: (event: string) => (error: Error) => void;
  readonly outbox: Outbox;
  readonly executor: Executor;
  readonly observations: Observations;
  readonly log: PredictionLog;
  readonly follower: RouteFollower;
  readonly service: InferenceService;
  readonly server: GatewayServer;
}

function assemble({
  config,
  logger,
  ports,
  limits = DEFAULT_LIMITS,
  nowMs = () => performance.now(),
}: GatewayOptions): Parts {
  const { id, host, port, threads, pollMs } = config.gateway;
  const folder = cacheFolder(config);
  const incarnation = newIncarnation(id);
  const put = (key: string, bytes: Uint8Array): Promise<void> => ports.store.put(key, bytes);
  const metrics = new GatewayMetrics(createMetrics('gateway'), {
    queuedRows: () => executor.queuedRows,
    models: () => follower.all().map(({ served }) => statusOf(served, nowMs())),
    predictionLog: () => log,
  });
  const problem = (event: string) => (error: Error) => {
    metrics.countEvent(event);
    logger.warn({ err: error, event }, 'survived a trouble');
  };
  const outbox = new Outbox(join(folder, 'outbox'), put, problem('store-failed'));
  const observations = new Observations({
    gateway: id,
    incarnation,
    folder: join(folder, 'journal'),
    put,
    onProblem: problem('journal-failed'),
  });
  const log = new PredictionLog({ outbox, incarnation, onProblem: problem('prediction-log-failed') });
  const executor = new Executor({
    threads,
    maxQueuedRows: MAX_QUEUED_ROWS,
    maxBackgroundRows: MAX_BACKGROUND_ROWS,
    onBatchSettled: () => service.batchSettled(),
    onThreadLost: (reason) => problem('thread-lost')(new Error(reason)),
  });
  const releases = new ReleaseCache({ registry: ports.registry, blobs: ports.blobs, executor, limits });
  const cache = new RouteCache(join(folder, 'routes'), problem('route-cache-failed'));
  const follower: RouteFollower = new RouteFollower({
    reader: ports.reader,
    releases,
    cache,
    observations,
    metrics,
    logger,
    pollMs,
    nowMs,
  });
  const onBreakerTripped = (served: ServedModel): void => {
    metrics.countEvent('breaker-tripped');
    follower.breakerTripped(served);
    const event = breakerEvent(served, id, incarnation);
    logger.error(
      { model: event.model, generation: event.generation, requests: event.requests, errors: event.errors },
      'breaker tripped: champion only',
    );
    outbox.write(keys.breakerEvent(event.model, event.generation, incarnation), Buffer.from(JSON.stringify(event)));
  };
  const service: InferenceService = new InferenceService({
    executor,
    metrics,
    log,
    limits,
    incarnation,
    nowMs,
    commit: () => observations.commit(),
    onBreakerTripped,
  });
  const server = new GatewayServer({
    host,
    port,
    service,
    served: (model) => follower.served(model),
    allServed: () => follower.all().map(({ served }) => served),
    notReady: (model) => follower.notReady(model),
    isReady: () => follower.isReady,
  });
  void outbox.sendAll();
  return { incarnation, logger, put, problem, outbox, executor, observations, log, follower, service, server };
}

async function close(parts: Parts, heartbeat: Heartbeat): Promise<void> {
  await parts.server.drain();
  parts.follower.stop();
  await parts.service.settleBackground();
  await parts.log.close();
  await parts.observations.close();
  parts.outbox.stop();
  await heartbeat.close();
  await parts.executor.close();
  parts.logger.info({ incarnation: parts.incarnation }, 'gateway drained');
}

function statusOf(
  served: ServedModel,
  nowMs: number,
): { model: string; generation: number; isLeased: boolean; isTripped: boolean } {
  const { model, generation } = served.route;
  return { model, generation, isLeased: served.mayTry(nowMs), isTripped: served.breaker.isTripped };
}

function breakerEvent(served: ServedModel, gateway: string, incarnation: string): BreakerEvent {
  const { model, generation } = served.route;
  const { requests, errors } = served.breaker;
  const all = served.observer.counts.requestsOf(CHALLENGER);
  return {
    schema: 'slipway.breaker/1',
    model,
    generation,
    gateway,
    incarnation,
    at: new Date().toISOString(),
    requests,
    errors,
    reason: `${errors} of the challenger's ${all} requests failed, more than chance explains at the champion's rate`,
  };
}
