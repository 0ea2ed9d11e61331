import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { digestOf } from '../../infra/object-store/digest';
import { createMetrics } from '../../infra/telemetry/metrics';
import type { Digest } from '../../workflows/domain/digest';
import type { ModelName } from '../../workflows/domain/names';
import type { ReleaseManifest, Signature } from '../../workflows/domain/release';
import type { Route } from '../../workflows/domain/route';
import { DEFAULT_SERVING } from '../../workflows/domain/serving';
import { Breaker } from './routes/breaker';
import { Executor } from './execution/executor';
import { ExecutorScorer } from './execution/scorer';
import { newIncarnation } from './identity';
import { InferenceService } from './inference/inference';
import { InputPlan } from './inference/input-plan';
import { GatewayMetrics } from './metrics';
import { Observations } from './records/observations';
import { DEFAULT_LIMITS } from './inference/protocol';
import type { LoadedRelease } from './routes/served-model';
import { ServedModel } from './routes/served-model';
import { GatewayServer } from './http/server';

export interface LocalModelOptions {
  readonly onnxPath: string;
  readonly signature: Signature;
  /** 0 for any free one. */
  readonly port: number;
  readonly model?: ModelName;
}

export interface LocalModel {
  readonly url: string;
  readonly model: ModelName;
  close(): Promise<void>;
}

const TIMEOUT_MS = 30_000;
const NONE: Digest = `sha256:${'0'.repeat(64)}`;

/**
 * Serves someone's own model file on 127.0.0.1 for `slipway try`: the gateway's own path from request to answer, without store,
 * signatures, log or canary. Throws MODEL_UNREADABLE and PORT_TAKEN.
 */
export async function serveLocalModel({
  onnxPath,
  signature,
  port,
  model = 'local/model',
}: LocalModelOptions): Promise<LocalModel> {
  const { service, executor, observations, close } = await localService();
  try {
    const release = await openFile(executor, onnxPath, signature, model);
    const observer = observations.open(model, 1, 'local');
    const served = new ServedModel(localRoute(release), NONE, release, null, [], observer, new Breaker(), Infinity);
    const server = new GatewayServer({
      host: '127.0.0.1',
      port,
      service,
      served: (name) => (name === model ? served : undefined),
      allServed: () => [served],
      notReady: () => null,
      isReady: () => true,
    });
    const { url } = await server.listen();
    return { url, model, close: () => server.drain().then(close) };
  } catch (error) {
    await close();
    throw error;
  }
}

interface LocalService {
  readonly service: InferenceService;
  readonly executor: Executor;
  readonly observations: Observations;
  readonly close: () => Promise<void>;
}

/** Requests are counted for `/metrics`, and nowhere else. */
async function localService(): Promise<LocalService> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-try-'));
  const incarnation = newIncarnation('local');
  const put = (): Promise<void> => Promise.resolve();
  const observations = new Observations({ gateway: 'local', incarnation, folder, put, onProblem: () => undefined });
  const executor = new Executor({
    threads: 1,
    maxQueuedRows: 8_192,
    maxBackgroundRows: 0,
    onBatchSettled: () => service.batchSettled(),
    onThreadLost: () => undefined,
  });
  const service: InferenceService = new InferenceService({
    executor,
    metrics: new GatewayMetrics(createMetrics('gateway'), {
      queuedRows: () => executor.queuedRows,
      running: () => executor.running,
      models: () => [],
      predictionLog: () => ({ rows: 0, dropped: 0 }),
      compromised: () => [],
      failedTrustLooks: () => 0,
    }),
    log: { add: () => undefined },
    limits: DEFAULT_LIMITS,
    incarnation,
    timeoutMs: TIMEOUT_MS,
    nowMs: () => performance.now(),
    commit: () => observations.commit(),
    onBreakerTripped: () => undefined,
  });
  const close = async (): Promise<void> => {
    await executor.close();
    await observations.close();
    await rm(folder, { recursive: true, force: true });
  };
  return { service, executor, observations, close };
}

async function openFile(
  executor: Executor,
  path: string,
  signature: Signature,
  model: ModelName,
): Promise<LoadedRelease> {
  const digest = digestOf(await readFile(path));
  const scorer = new ExecutorScorer(executor, await executor.load(path, signature));
  // Only these of a manifest are read on the way from request to answer.
  const manifest = { signature, model, version: 1, onnx: digest, serving: DEFAULT_SERVING } as ReleaseManifest;
  return { ref: { model, version: 1, digest }, manifest, plan: new InputPlan(signature, DEFAULT_LIMITS), scorer };
}

function localRoute({ ref }: LoadedRelease): Route {
  return {
    schema: 'slipway.route/1',
    workspace: 'local',
    model: ref.model,
    generation: 1,
    previous: null,
    intent: 'local',
    state: 'serving',
    arms: [{ name: 'champion', release: ref, weight: 1 }],
    shadows: [],
    paired: false,
    assignment: { source: 'request' },
    salt: 'local',
    clock: 'wall',
    challengerLeaseMs: Number.MAX_SAFE_INTEGER,
    rollout: null,
    audit: { sequence: 1, digest: NONE },
    committedAt: '1970-01-01T00:00:00.000Z',
  };
}
