import { join } from 'node:path';
import { NO_BINDINGS } from '../../infra/endpoints/bindings';
import { createMetrics } from '../../infra/telemetry/metrics';
import type { Logger } from '../../infra/telemetry/log';
import { keys } from '../../workflows/domain/keys';
import type { ReleaseRef } from '../../workflows/domain/release';
import { BLOB_FOLDER_BYTES, BlobFolder, KEEP_BLOBS_FOR_MS } from './routes/blob-folder';
import { breakerEvent } from './routes/breaker-event';
import { ArmPermits } from './edge/arm-permits';
import { assembleEdge } from './edge/assemble-edge';
import type { Certificates } from './edge/certificates';
import { FailureLog } from './edge/failure-log';
import { EndpointMetrics } from './endpoints/endpoint-metrics';
import { OpenEndpoints, type OpenEndpointsOptions } from './endpoints/open-endpoints';
import { Executor } from './execution/executor';
import { Explainer } from './explain/explainer';
import type { GatewayOptions } from './gateway-options';
import { cacheFolder, newIncarnation } from './identity';
import { InferenceService } from './inference/inference';
import { Inspections } from './routes/inspections';
import { modelMemoryLimit } from './routes/memory-limit';
import type { ModelStatus } from './metrics';
import { GatewayMetrics } from './metrics';
import type { Models } from './models';
import { Observations } from './records/observations';
import { Outbox } from './records/outbox';
import { PredictionLog } from './records/prediction-log';
import { DEFAULT_LIMITS } from './inference/protocol';
import { ReleaseCache, type ReleaseCacheOptions } from './routes/release-cache';
import { RouteCache } from './routes/route-cache';
import { RouteFollower } from './routes/route-follower';
import type { EndpointStatus, ServedModel } from './routes/served-model';
import { GatewayServer } from './http/server';

const MAX_QUEUED_ROWS = 16_384;
const MAX_BACKGROUND_ROWS = 2_048;
/** The explainer bounds its own queue, in rows to explain. */
const EXPLAINED_WITHIN_MS = 60_000;

export type Put = (key: string, bytes: Uint8Array) => Promise<void>;
type Report = (event: string) => (error: Error) => void;

/** What goes to the store: counts, log, events; each bears the store's absence. */
interface Records {
  readonly outbox: Outbox;
  readonly observations: Observations;
  readonly log: PredictionLog;
}

/** Where callers come in. */
interface Door {
  readonly models: Models;
  readonly server: GatewayServer;
  /** Null without TLS. */
  readonly certificates: Certificates | null;
}

export interface Parts extends Records, Door {
  readonly incarnation: string;
  readonly logger: Logger;
  readonly put: Put;
  readonly problem: Report;
  readonly executor: Executor;
  readonly endpoints: OpenEndpoints;
  readonly explainer: Explainer;
  readonly inspections: Inspections;
  readonly releases: ReleaseCache;
  readonly follower: RouteFollower;
  readonly service: InferenceService;
}

/** Wires a gateway; nothing listens yet. */
export function assemble(options: GatewayOptions): Parts {
  const { config, logger, ports, nowMs = () => performance.now() } = options;
  const incarnation = newIncarnation(config.gateway.id);
  const put: Put = (key, bytes) => ports.store.put(key, bytes);
  const metrics: GatewayMetrics = new GatewayMetrics(createMetrics(options.fleet ? config.gateway.id : 'gateway'), {
    queuedRows: () => executor.queuedRows,
    running: () => executor.running,
    models: () => follower.all().map(({ served }) => statusOf(served, nowMs())),
    predictionLog: () => records.log,
    compromised: () => follower.compromised(),
    failedTrustLooks: () => ports.trust.failedLooks,
    modelBytes: () => releases.memoryByModel(),
    ...(options.fleet ? { page: () => options.fleet!.metrics() } : {}),
  });
  options.fleet?.publish(() => metrics.registry.metrics());
  const problem: Report = (event) => (error) => {
    metrics.countEvent(event);
    logger.warn({ err: error, event }, 'survived a trouble');
  };
  const records = assembleRecords(options, incarnation, put, problem);
  const executor = new Executor({
    threads: config.gateway.threads,
    maxWaitMs: config.gateway.maxWaitMs,
    maxQueuedRows: MAX_QUEUED_ROWS,
    maxBackgroundRows: MAX_BACKGROUND_ROWS,
    onBatchSettled: () => service.batchSettled(),
    onThreadLost: (reason) => problem('thread-lost')(new Error(reason)),
  });
  const inspections = assembleInspections(options, problem);
  const endpoints = assembleEndpoints(options, metrics, executor, {
    onSettled: () => service.batchSettled(),
    onChanged: (ref, status) => endpointChanged(ref, status, { follower, service, logger }),
  });
  const releases = assembleReleases(options, { executor, inspections, endpoints, nowMs });
  const follower = assembleFollower(options, { releases, metrics, records, problem, nowMs });
  const explainer = assembleExplainer(options, problem);
  const serving = { incarnation, executor, explainer, metrics, follower, records, nowMs };
  const service: InferenceService = assembleService(options, serving);
  const door = assembleDoor(options, { service, executor, follower, metrics, problem, nowMs });
  return {
    ...{ incarnation, logger, put, problem, executor, endpoints, explainer, inspections, releases, follower, service },
    ...door,
    ...records,
  };
}

function assembleRecords(
  { config, nowMs = () => performance.now() }: GatewayOptions,
  incarnation: string,
  put: Put,
  problem: Report,
): Records {
  const folder = cacheFolder(config);
  const { id } = config.gateway;
  const outbox = new Outbox(join(folder, 'outbox'), put, problem('store-failed'));
  void outbox.sendAll();
  return {
    outbox,
    observations: new Observations({
      gateway: id,
      incarnation,
      folder: join(folder, 'journal'),
      put,
      onProblem: problem('counts-failed'),
      nowMs,
    }),
    log: new PredictionLog({ outbox, incarnation, onProblem: problem('prediction-log-failed') }),
  };
}

function assembleInspections({ config, modelLimits }: GatewayOptions, problem: Report): Inspections {
  return new Inspections({
    folder: join(cacheFolder(config), 'inspected'),
    ...(modelLimits ? { limits: modelLimits } : {}),
    onProblem: problem('inspections-failed'),
  });
}

function assembleEndpoints(
  { config, endpoints = NO_BINDINGS }: GatewayOptions,
  { registry }: GatewayMetrics,
  { nowMs }: Executor,
  events: Pick<OpenEndpointsOptions, 'onSettled' | 'onChanged'>,
): OpenEndpoints {
  const { maxWaitMs } = config.gateway;
  return new OpenEndpoints({
    bindings: endpoints,
    metrics: new EndpointMetrics(registry),
    maxWaitMs,
    nowMs,
    ...events,
  });
}

function assembleReleases(
  { config, ports, limits = DEFAULT_LIMITS }: GatewayOptions,
  parts: Pick<ReleaseCacheOptions, 'executor' | 'inspections' | 'endpoints'> & { readonly nowMs: () => number },
): ReleaseCache {
  const { registry, blobs, trust } = ports;
  const memoryBytes = modelMemoryLimit(config.gateway);
  return new ReleaseCache({
    ...parts,
    registry,
    blobs,
    trust,
    limits,
    memoryBytes,
    threads: config.gateway.threads + 1,
  });
}

function assembleFollower(
  { config, logger, ports }: GatewayOptions,
  parts: Pick<Parts, 'releases' | 'problem'> & {
    readonly metrics: GatewayMetrics;
    readonly records: Records;
    readonly nowMs: () => number;
  },
): RouteFollower {
  const { releases, metrics, records, problem, nowMs } = parts;
  const { reader, trust } = ports;
  return new RouteFollower({
    reader,
    trust,
    releases,
    blobs: new BlobFolder({
      folder: join(cacheFolder(config), 'blobs'),
      maxBytes: BLOB_FOLDER_BYTES,
      keepForMs: KEEP_BLOBS_FOR_MS,
      onProblem: problem('blob-folder-failed'),
    }),
    cache: new RouteCache(join(cacheFolder(config), 'routes'), problem('route-cache-failed')),
    observations: records.observations,
    metrics,
    logger,
    pollMs: config.gateway.pollMs,
    nowMs,
  });
}

interface ServiceParts {
  readonly incarnation: string;
  readonly executor: Executor;
  readonly explainer: Explainer;
  readonly metrics: GatewayMetrics;
  readonly follower: RouteFollower;
  readonly records: Records;
  readonly nowMs: () => number;
}

function assembleExplainer({ ports }: GatewayOptions, problem: Report): Explainer {
  return new Explainer({
    blobs: ports.blobs,
    openExecutor: () =>
      new Executor({
        threads: 1,
        maxWaitMs: EXPLAINED_WITHIN_MS,
        maxQueuedRows: Number.MAX_SAFE_INTEGER,
        maxBackgroundRows: 0,
        onBatchSettled: () => undefined,
        onThreadLost: (reason) => problem('thread-lost')(new Error(reason)),
      }),
  });
}

function assembleService(
  { config, logger, ports, limits = DEFAULT_LIMITS }: GatewayOptions,
  parts: ServiceParts,
): InferenceService {
  const { incarnation, executor, explainer, metrics, follower, nowMs } = parts;
  const { outbox, observations, log } = parts.records;
  return new InferenceService({
    executor,
    explainer,
    metrics,
    log,
    limits,
    incarnation,
    timeoutMs: config.gateway.timeoutMs,
    failures: new FailureLog(logger, nowMs),
    armPermits: new ArmPermits(() => ports.trust.policy),
    nowMs,
    commit: () => observations.commit(),
    onBreakerTripped: (served, changed) => {
      metrics.countEvent(changed ? 'endpoint-changed' : 'breaker-tripped');
      follower.breakerTripped(served);
      const event = breakerEvent(served, config.gateway.id, incarnation, changed);
      const { model, generation, requests, errors } = event;
      const what = changed ? 'the endpoint changed' : 'breaker tripped';
      logger.error({ model, generation, requests, errors }, `${what}: champion only`);
      outbox.write(keys.breakerEvent(model, generation, incarnation), Buffer.from(JSON.stringify(event)));
    },
  });
}

function assembleDoor(
  options: GatewayOptions,
  parts: Pick<Parts, 'service' | 'executor' | 'follower' | 'problem'> & {
    readonly metrics: GatewayMetrics;
    readonly nowMs: () => number;
  },
): Door {
  const { service, follower, metrics } = parts;
  const { host, port } = options.config.gateway;
  const { admission, certificates } = assembleEdge(options, { ...parts, registry: metrics.registry });
  const models = { ...assembleModels(service, follower), ...(admission ? { admission } : {}) };
  const tls = certificates ? { tls: certificates.material } : {};
  return { models, certificates, server: new GatewayServer({ host, port, ...models, ...tls }) };
}

function assembleModels(service: InferenceService, follower: RouteFollower): Models {
  return {
    service,
    served: (model) => follower.served(model),
    allServed: () => follower.all().map(({ served }) => served),
    notReady: (model) => follower.notReady(model),
    waiting: () => follower.waiting(),
    isReady: () => follower.isReady,
  };
}

function statusOf(served: ServedModel, nowMs: number): ModelStatus {
  const { model, generation } = served.route;
  return { model, generation, isLeased: served.mayTry(nowMs), isTripped: served.breaker.isTripped };
}

/** The challenger is taken out as its breaker would; whether a champion goes on is for its descriptor to say. */
function endpointChanged(
  ref: ReleaseRef,
  { problem }: EndpointStatus,
  { follower, service, logger }: Pick<Parts, 'follower' | 'service' | 'logger'>,
): void {
  const { model, version } = ref;
  logger.error({ err: problem, model, version }, 'an endpoint does not answer as it was approved');
  for (const { served } of follower.all()) {
    if (served.challenger?.ref.digest !== ref.digest || served.breaker.isTripped) continue;
    served.breaker.trip();
    service.options.onBreakerTripped(served, problem);
  }
}
