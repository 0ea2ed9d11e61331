import { copyFile, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SlipwayError } from '../../workflows/domain/errors';
import type { Signature } from '../../workflows/domain/release';
import type { RunRequest, SnapshotManifest } from '../../workflows/domain/run';
import type { ModelSpec } from '../../workflows/domain/spec';
import type { ActivityScope } from '../../infra/process/activity-scope';
import type { ChildOutcome } from '../../infra/process/port';
import { howEnded, keepOutput } from '../../infra/process/child-end';
import { nodeEntry, runChild } from '../../infra/process/supervised-child';
import type { BlobStore } from '../../infra/object-store/port';
import type { CheckpointStore } from './checkpoints';
import { BUILTIN_FAILURE, CONTRACT, FILES } from './contract';
import type { TrainerMetrics, TrainerProgress } from './contract';

/** Logs of a trainer that are kept; beyond that it is ended. */
const OUTPUT_BYTES = 16 * 1024 * 1024;
/** A trainer that something else killed is started again from its newest checkpoint; so often without getting further. */
const RESTARTS_WITHOUT_PROGRESS = 3;

export interface TrainerRun {
  readonly request: RunRequest;
  readonly spec: ModelSpec;
  readonly signature: Signature;
  readonly manifest: SnapshotManifest;
  readonly blobs: BlobStore;
  readonly checkpoints: CheckpointStore;
  readonly scope: ActivityScope;
  /** This attempt's own folder. */
  readonly folder: string;
}

export interface TrainedModel {
  readonly path: string;
  readonly epochs: number;
  readonly resumedFromEpoch: number;
}

/** Runs the spec's trainer, built-in or command, by the file contract. Throws SlipwayError TRAINING_FAILED, TRAINING_LIMIT. */
export async function runTrainer(run: TrainerRun): Promise<TrainedModel> {
  const folders = await layOut(run);
  let best = -1;
  for (let stalled = 0; ; stalled += 1) {
    const resumedFromEpoch = await run.checkpoints.restore(folders.checkpoints);
    if (resumedFromEpoch > best) stalled = 0;
    best = Math.max(best, resumedFromEpoch);
    const { outcome, lastEpoch } = await runOnce(run, folders, resumedFromEpoch);
    if (outcome.exitCode === 0 && outcome.limit === null)
      return readResult(folders.output, lastEpoch, resumedFromEpoch);
    const killed = outcome.signal !== null && outcome.limit === null;
    if (!killed || stalled >= RESTARTS_WITHOUT_PROGRESS) throw await failureOf(run, folders, outcome);
  }
}

type Folders = Readonly<Record<'input' | 'output' | 'checkpoints', string>>;

async function layOut({ spec, signature, manifest, blobs, folder }: TrainerRun): Promise<Folders> {
  const folders = {
    input: join(folder, 'input'),
    output: join(folder, 'output'),
    checkpoints: join(folder, 'checkpoints'),
  };
  for (const path of Object.values(folders)) await mkdir(path, { recursive: true });
  await writeFile(join(folders.input, FILES.spec), JSON.stringify(spec, null, 2));
  await writeFile(join(folders.input, FILES.signature), JSON.stringify(signature, null, 2));
  await copyFile(await blobs.file(manifest.splits.train.blob), join(folders.input, FILES.train));
  await copyFile(await blobs.file(manifest.splits.validation.blob), join(folders.input, FILES.validation));
  return folders;
}

async function runOnce(
  run: TrainerRun,
  folders: Folders,
  resumedFromEpoch: number,
): Promise<{ outcome: ChildOutcome; lastEpoch: number }> {
  const { spec, request, scope } = run;
  let lastEpoch = resumedFromEpoch;
  let uploads = Promise.resolve();
  let lostCheckpoints = 0;
  const keep = (file: string, epoch: number): void => {
    // A store that is away for a while costs a checkpoint, not the training; the heartbeat shows it.
    uploads = uploads
      .then(() => run.checkpoints.keep(folders.checkpoints, file, epoch))
      .catch(() => void (lostCheckpoints += 1));
  };
  const onProgress = (progress: TrainerProgress): void => {
    // A heartbeat is in the history: of what a foreign program prints, numbers only (I10).
    lastEpoch = finiteOr(progress.epoch, lastEpoch);
    scope.heartbeat({ epoch: lastEpoch, validationLoss: finiteOr(progress.validationLoss, null), lostCheckpoints });
    if (typeof progress.checkpoint === 'string') keep(progress.checkpoint, lastEpoch);
  };
  const command = commandOf(spec);
  const outcome = await runChild({
    ...command,
    env: {
      [CONTRACT.input]: folders.input,
      [CONTRACT.output]: folders.output,
      [CONTRACT.checkpoints]: folders.checkpoints,
      [CONTRACT.seed]: String(spec.training.seed),
      [CONTRACT.model]: request.model,
      [CONTRACT.run]: request.run,
    },
    limits: { memoryMb: spec.training.memoryMb, timeoutMs: spec.training.timeoutMs, outputBytes: OUTPUT_BYTES },
    onProgress,
    ...(scope.signal ? { signal: scope.signal } : {}),
  });
  await uploads;
  return { outcome, lastEpoch };
}

function commandOf({ training }: ModelSpec): { argv: readonly string[]; cwd?: string } {
  const { trainer } = training;
  if (trainer.kind === 'command') return { argv: trainer.command, cwd: trainer.folder };
  return { argv: nodeEntry(join(__dirname, `builtin-child${__filename.endsWith('.ts') ? '.ts' : '.js'}`)) };
}

async function readResult(output: string, lastEpoch: number, resumedFromEpoch: number): Promise<TrainedModel> {
  const path = join(output, FILES.onnx);
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  );
  if (size === 0)
    throw new SlipwayError(
      'TRAINING_FAILED',
      `the trainer ended with exit code 0 but left no ${FILES.onnx} in $${CONTRACT.output}`,
    );
  const metrics = await readMetrics(join(output, FILES.metrics));
  return { path, epochs: finiteOr(metrics['epochs'], lastEpoch), resumedFromEpoch };
}

function finiteOr<T>(value: unknown, otherwise: T): number | T {
  return typeof value === 'number' && Number.isFinite(value) ? value : otherwise;
}

async function readMetrics(path: string): Promise<TrainerMetrics> {
  const text = await readFile(path, 'utf8').catch(() => '{}');
  try {
    return (JSON.parse(text) as TrainerMetrics | null) ?? {};
  } catch {
    throw new SlipwayError('TRAINING_FAILED', `${FILES.metrics} is not JSON`);
  }
}

/** A trainer that was killed was started again before it was given up. What our own one says in a file is shown: no data is in it (I10). */
async function failureOf(run: TrainerRun, folders: Folders, outcome: ChildOutcome): Promise<SlipwayError> {
  const killed = outcome.signal !== null && outcome.limit === null ? ' again and again' : '';
  const builtin = run.spec.training.trainer.kind !== 'command';
  const said = builtin ? await readFile(join(folders.output, BUILTIN_FAILURE), 'utf8').catch(() => '') : '';
  return new SlipwayError(
    outcome.limit === null ? 'TRAINING_FAILED' : 'TRAINING_LIMIT',
    `the trainer ${howEnded(outcome)}${killed}${said && `: ${said}`} ${await keepOutput(run.blobs, outcome)}`,
  );
}
