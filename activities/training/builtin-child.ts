import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withDuckDb } from '../../infra/data/duckdb';
import { readSnapshot } from '../../infra/data/snapshot';
import { fitModel } from '../../infra/onnx/fit-model';
import type { LabelledTable } from '../../infra/onnx/fit-model';
import { machineClass } from '../../infra/onnx/machine-class';
import { tableOfSnapshot } from '../../infra/onnx/snapshot-table';
import { decodeCheckpoint, encodeCheckpoint } from '../../infra/onnx/trainer-state';
import type { TrainerState } from '../../infra/onnx/trainer-state';
import { digestOf, digestOfJson } from '../../infra/object-store/digest';
import type { Signature } from '../../workflows/domain/release';
import { SlipwayError } from '../../workflows/domain/errors';
import type { ModelSpec } from '../../workflows/domain/spec';
import { BUILTIN_FAILURE, CONTRACT, FILES } from './contract';
import type { TrainerProgress } from './contract';

/** DuckDB's share of the child's memory; the rest holds the columns twice: raw, and as the network takes them. */
const DUCKDB_SHARE = 0.4;

interface Job {
  readonly spec: ModelSpec;
  readonly signature: Signature;
  readonly input: string;
  readonly output: string;
  readonly checkpoints: string;
}

function folderOf(name: string): string {
  const folder = process.env[name];
  if (!folder) throw new SlipwayError('TRAINING_FAILED', `the environment lacks ${name}`);
  return folder;
}

async function readJob(): Promise<Job> {
  const input = folderOf(CONTRACT.input);
  const json = async <T>(name: string): Promise<T> => JSON.parse(await readFile(join(input, name), 'utf8')) as T;
  return {
    spec: await json<ModelSpec>(FILES.spec),
    signature: await json<Signature>(FILES.signature),
    input,
    output: folderOf(CONTRACT.output),
    checkpoints: folderOf(CONTRACT.checkpoints),
  };
}

async function readSplit({ spec, signature, input, output }: Job, file: string): Promise<LabelledTable> {
  const path = join(input, file);
  const options = {
    threads: 1,
    memoryMb: Math.floor(spec.training.memoryMb * DUCKDB_SHARE),
    folder: output,
    files: [path],
  };
  const snapshot = await withDuckDb(options, (db) => readSnapshot(db, path, spec));
  return { table: tableOfSnapshot(snapshot, signature.inputs), labels: snapshot.labels };
}

/** Names the data and decisions that a checkpoint may be gone on from; on another machine class the bits would differ. */
async function identityOf({ spec, input }: Job): Promise<string> {
  const data = [FILES.train, FILES.validation].map(async (file) => digestOf(await readFile(join(input, file))));
  return digestOfJson({
    data: await Promise.all(data),
    task: spec.task,
    features: spec.features,
    trainer: spec.training.trainer,
    seed: spec.training.seed,
    machineClass: machineClass(),
  });
}

async function readCheckpoint(folder: string, identity: string): Promise<TrainerState | null> {
  for (const name of (await readdir(folder)).sort().reverse()) {
    const state = name.endsWith('.ckpt') ? decodeCheckpoint(await readFile(join(folder, name)), identity) : null;
    if (state) return state;
  }
  return null;
}

function report(progress: TrainerProgress): void {
  process.stdout.write(`${JSON.stringify({ progress })}\n`);
}

async function main(): Promise<void> {
  const job = await readJob();
  const { trainer, seed } = job.spec.training;
  if (trainer.kind === 'command') throw new SlipwayError('INTERNAL', 'the built-in trainer was given a command');
  const identity = await identityOf(job);
  const onEpoch = (state: TrainerState, losses: { train: number; validation: number }): void => {
    const progress = { epoch: state.epoch, trainLoss: losses.train, validationLoss: losses.validation };
    if (state.epoch % trainer.checkpointEvery !== 0) return report(progress);
    const checkpoint = `epoch-${String(state.epoch).padStart(6, '0')}.ckpt`;
    const path = join(job.checkpoints, checkpoint);
    writeFileSync(`${path}.tmp`, encodeCheckpoint(state, identity));
    renameSync(`${path}.tmp`, path);
    report({ ...progress, checkpoint });
  };
  const resume = await readCheckpoint(job.checkpoints, identity);
  const [train, validation] = [await readSplit(job, FILES.train), await readSplit(job, FILES.validation)];
  const { onnx, ...metrics } = await fitModel({
    signature: job.signature,
    trainer,
    seed,
    train,
    validation,
    resume,
    onEpoch,
  });
  await writeFile(join(job.output, FILES.metrics), JSON.stringify(metrics));
  await writeFile(join(job.output, `${FILES.onnx}.tmp`), onnx);
  await rename(join(job.output, `${FILES.onnx}.tmp`), join(job.output, FILES.onnx));
}

main().catch((error: unknown) => {
  if (error instanceof SlipwayError) writeFileSync(join(folderOf(CONTRACT.output), BUILTIN_FAILURE), error.message);
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
});
