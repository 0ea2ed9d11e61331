import { tmpdir } from 'node:os';
import { SlipwayError } from '../../workflows/domain/errors';
import type { Signature } from '../../workflows/domain/release';
import type { RunRequest, SnapshotManifest, TrainResult } from '../../workflows/domain/run';
import { signatureOf } from '../../workflows/domain/signature';
import type { ModelSpec, TrainingSpec } from '../../workflows/domain/spec';
import type { LifecycleComputeActivities, TrainingActivities } from '../../workflows/lifecycle.activities';
import { type Bindings, NO_BINDINGS } from '../../infra/endpoints/bindings';
import { DEFAULT_MODEL_LIMITS, checkSignature, inspectModel } from '../../infra/onnx/inspect-model';
import type { ModelLimits } from '../../infra/onnx/inspect-model';
import { machineClass } from '../../infra/onnx/machine-class';
import type { BlobStore, ObjectStore } from '../../infra/object-store/port';
import { withAttemptFolder } from '../../infra/process/attempt-folder';
import { type ActivityScope, withHeartbeat } from '../../infra/process/activity-scope';
import { findStepResult, keepStepResult, stepCacheKey } from '../../infra/runs/step-results';
import { createCheckpointStore } from './checkpoints';
import { openEndpoint } from './open-endpoint';
import { runTrainer } from './run-trainer';

export interface TrainingPorts {
  readonly store: ObjectStore;
  readonly blobs: BlobStore;
  /** Folder for work in progress; each attempt has its own below it, removed after. Default: the system's temporary folder. */
  readonly workFolder?: string;
  readonly modelLimits?: ModelLimits;
  /** Where external endpoints are; none is bound where it is left out. */
  readonly endpoints?: Bindings;
}

/** Raised when the built-in trainer would give other models for the same input: cached results must not be taken for new ones. */
const BUILTIN_VERSION = 1;

/**
 * `train` throws SlipwayError TRAINING_FAILED, TRAINING_LIMIT, MODEL_UNREADABLE and MODEL_SIGNATURE (of what a command trainer left). Its
 * result is kept under the run by what went into it; an attempt goes on from the newest checkpoint of the ones before.
 */
export function createTrainingActivities(
  ports: TrainingPorts,
): TrainingActivities & Pick<LifecycleComputeActivities, 'openImported'> {
  return {
    train: (input) => withHeartbeat((scope) => train(ports, input, scope)),
    openImported: ({ request }) => withHeartbeat((scope) => openImported(ports, request, scope)),
  };
}

async function train(
  ports: TrainingPorts,
  { request, ingest }: Parameters<TrainingActivities['train']>[0],
  scope: ActivityScope,
): Promise<TrainResult> {
  const spec = await ports.blobs.getJson<ModelSpec>(request.spec);
  const cacheKey = stepCacheKey({
    step: 'train',
    builtin: BUILTIN_VERSION,
    snapshot: ingest.snapshot,
    task: spec.task,
    features: spec.features,
    training: spec.training,
  });
  const kept = await findStepResult<TrainResult>(ports.store, request, 'train', cacheKey);
  if (kept) return kept;
  const manifest = await ports.blobs.getJson<SnapshotManifest>(ingest.manifest);
  const result = await withAttemptFolder(ports.workFolder ?? tmpdir(), 'training', (folder) =>
    trainIn(folder, ports, scope, request, spec, manifest, cacheKey),
  );
  return keepStepResult(ports.store, request, 'train', cacheKey, result);
}

async function trainIn(
  folder: string,
  ports: TrainingPorts,
  scope: ActivityScope,
  request: RunRequest,
  spec: ModelSpec,
  manifest: SnapshotManifest,
  training: string,
): Promise<TrainResult> {
  const signature = signatureOf(spec);
  const checkpoints = createCheckpointStore(ports, request, training);
  const trained = await runTrainer({
    request,
    spec,
    signature,
    manifest,
    blobs: ports.blobs,
    checkpoints,
    scope,
    folder,
  });
  checkSignature(await inspectModel(trained.path, ports.modelLimits ?? DEFAULT_MODEL_LIMITS, scope.signal), signature);
  return {
    onnx: await ports.blobs.putFile(trained.path),
    signature: await ports.blobs.putJson(signature),
    machineClass: machineClass(),
    trainer: trainerName(spec.training),
    epochs: trained.epochs,
    resumedFromEpoch: trained.resumedFromEpoch,
  };
}

function trainerName({ trainer }: TrainingSpec): string {
  return trainer.kind === 'command'
    ? `command ${trainer.command.join(' ')}`
    : `slipway/${trainer.kind}@${BUILTIN_VERSION}`;
}

/** A model that was trained elsewhere. Its inputs must be features of the spec, since the holdout is read by the spec. */
async function openImported(ports: TrainingPorts, request: RunRequest, scope: ActivityScope): Promise<TrainResult> {
  if (!request.imported) throw new SlipwayError('INTERNAL', `run ${request.run} imports no model`);
  const { onnx, signature: digest, kind } = request.imported;
  const signature = await ports.blobs.getJson<Signature>(digest);
  const spec = await ports.blobs.getJson<ModelSpec>(request.spec);
  checkFeatures(signature, spec);
  if (kind === 'endpoint') {
    const trainer = await openEndpoint(ports.endpoints ?? NO_BINDINGS, await ports.blobs.get(onnx), signature, spec);
    return { kind, onnx, signature: digest, machineClass: 'external', trainer, epochs: 0, resumedFromEpoch: 0 };
  }
  const path = await ports.blobs.file(onnx);
  const inspection = await inspectModel(path, ports.modelLimits ?? DEFAULT_MODEL_LIMITS, scope.signal);
  checkSignature(inspection, signature);
  return {
    onnx,
    signature: digest,
    machineClass: machineClass(),
    trainer: `imported ${inspection.producer}`.trim(),
    epochs: 0,
    resumedFromEpoch: 0,
  };
}

function checkFeatures(signature: Signature, spec: ModelSpec): void {
  const types = new Map(spec.features.map(({ name, type }) => [name, type]));
  const problems = signature.inputs.flatMap(({ name, type }) => {
    const declared = types.get(name);
    if (declared === undefined) return [`input ${name} is no feature of the spec`];
    return declared === type ? [] : [`input ${name} is a ${type} in the signature and a ${declared} in the spec`];
  });
  if (signature.task !== spec.task) problems.push(`the signature is for ${signature.task}, the spec for ${spec.task}`);
  if (problems.length > 0) throw new SlipwayError('MODEL_SIGNATURE', problems.join('; '));
}
