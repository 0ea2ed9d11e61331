import type { Digest } from './digest';
import type { ModelName } from './names';

const padded = (sequence: number): string => String(sequence).padStart(12, '0');

/** Every key of the object store, relative to the workspace's prefix. Numbers are zero-padded so that lists sort. */
export const keys = {
  blob: (digest: Digest): string => {
    const hex = digest.slice('sha256:'.length);
    return `blobs/sha256/${hex.slice(0, 2)}/${hex}`;
  },
  runs: (model: ModelName): string => `runs/${model}/`,
  runRequest: (model: ModelName, run: string): string => `runs/${model}/${run}/request.json`,
  runResult: (model: ModelName, run: string): string => `runs/${model}/${run}/result.json`,
  runStep: (model: ModelName, run: string, step: string, cacheKey: string): string =>
    `runs/${model}/${run}/steps/${step}-${cacheKey}.json`,
  checkpoints: (model: ModelName, run: string): string => `runs/${model}/${run}/checkpoints/`,
  releases: (model: ModelName): string => `releases/${model}/`,
  releaseManifest: (model: ModelName, version: number): string => `releases/${model}/${padded(version)}/manifest.json`,
  releaseBundle: (model: ModelName, version: number): string =>
    `releases/${model}/${padded(version)}/bundle.sigstore.json`,
  approvals: (model: ModelName, version: number): string => `releases/${model}/${padded(version)}/approvals/`,
  approval: (model: ModelName, version: number, digest: Digest): string =>
    `releases/${model}/${padded(version)}/approvals/${digest.slice('sha256:'.length)}.json`,
  routes: (model: ModelName): string => `routes/${model}/`,
  route: (model: ModelName, generation: number): string => `routes/${model}/${padded(generation)}.json`,
  routeIndex: 'routes/index.json',
  audit: (model: ModelName): string => `audit/${model}/`,
  auditEntry: (model: ModelName, sequence: number): string => `audit/${model}/${padded(sequence)}.json`,
  auditCheckpoints: (model: ModelName): string => `audit/${model}/checkpoints/`,
  auditCheckpoint: (model: ModelName, sequence: number): string =>
    `audit/${model}/checkpoints/${padded(sequence)}.json`,
  observations: (model: ModelName, generation: number): string => `observations/${model}/${padded(generation)}/`,
  observation: (model: ModelName, generation: number, incarnation: string): string =>
    `observations/${model}/${padded(generation)}/${incarnation}.json`,
  breakerEvents: (model: ModelName, generation: number): string =>
    `observations/${model}/${padded(generation)}/breaker/`,
  breakerEvent: (model: ModelName, generation: number, incarnation: string): string =>
    `observations/${model}/${padded(generation)}/breaker/${incarnation}.json`,
  predictions: (model: ModelName): string => `predictions/${model}/`,
  predictionPart: (model: ModelName, day: string, part: string): string =>
    `predictions/${model}/dt=${day}/${part}.parquet`,
  labels: (model: ModelName): string => `labels/${model}/`,
  labelPart: (model: ModelName, day: string, part: string): string => `labels/${model}/dt=${day}/${part}.parquet`,
  monitorLooks: (model: ModelName): string => `monitor/${model}/looks/`,
  monitorLook: (model: ModelName, look: string): string => `monitor/${model}/looks/${look}.json`,
  monitorState: (model: ModelName): string => `monitor/${model}/state.json`,
  /** Claims of retrains, numbered from 1: the cooldown is between them. */
  monitorRetrain: (model: ModelName, sequence: number): string => `monitor/${model}/retrains/${padded(sequence)}.json`,
  gateway: (id: string): string => `gateways/${id}.json`,
  gateways: 'gateways/',
} as const;
