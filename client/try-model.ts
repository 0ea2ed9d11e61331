import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { matrixInput, planAdaptation, sentAs } from '../infra/onnx/adapt-plan';
import { adaptModel } from '../infra/onnx/adapt-model';
import { inspectModel, type ModelInspection, shapeText } from '../infra/onnx/inspect-model';
import { nodeEntry } from '../infra/process/node-entry';
import { SlipwayError } from '../workflows/domain/errors';
import { type InputSignature, type Signature, TENSOR_TYPE_OF } from '../workflows/domain/release';
import { OUTPUT_NAME } from '../workflows/domain/signature';
import type { FeatureType } from '../workflows/domain/spec';
import { type DataColumn, isNumeric, noSuchFile } from './data-files';

/** Workers are not imported here: the little gateway is a process of its own. */
const localGatewayEntry = resolve(__dirname, '../workers/local-gateway.ts');
const READY_TIMEOUT_MS = 30_000;

const FEATURE_OF: Readonly<Record<string, FeatureType>> = {
  FP32: 'number',
  INT64: 'integer',
  BYTES: 'category',
  BOOL: 'boolean',
};

/** A model file as it can be served, with the ABI that the file and the data show: no units, no ranges. */
export interface TriedModel {
  readonly path: string;
  readonly signature: Signature;
  /** What was put around the graph, for people. */
  readonly changes: readonly string[];
}

/**
 * Opens a model file for trying it. A matrix input takes `features`, or all numeric columns in file order. Throws MODEL_UNREADABLE, MODEL_SIGNATURE
 * with what to change, or DATA_SCHEMA naming a feature that the data lacks. `folder` takes what is written.
 */
export async function openForTrial(
  path: string,
  columns: readonly DataColumn[],
  features: readonly string[] | null,
  folder: string,
): Promise<TriedModel> {
  await stat(path).catch((error: unknown) => {
    throw noSuchFile(path, error);
  });
  const inspection = await inspectModel(resolve(path));
  const signature = withTask(inspection, signatureFor(inspection, columns, features));
  const { path: served, changes } = await adaptModel(resolve(path), inspection, signature, folder);
  return { path: served, signature, changes };
}

/** A graph does not say what its score is: class probabilities make it a classifier. */
function withTask(inspection: ModelInspection, signature: Signature): Signature {
  const answer = planAdaptation(inspection, signature)?.answer;
  const isClassifier = answer?.pick === 'second' || /prob/i.test(answer?.name ?? signature.output.name);
  return isClassifier ? { ...signature, task: 'binary' } : signature;
}

function signatureFor(
  inspection: ModelInspection,
  columns: readonly DataColumn[],
  features: readonly string[] | null,
): Signature {
  const [only, ...more] = inspection.outputs;
  const matrix = matrixInput(
    inspection,
    columns.map(({ name }) => name),
  );
  const inputs = matrix
    ? matrixFeatures(matrix.shape, columns, features).map((name) =>
        inputOf(name, matrix.datatype === 'INT64' ? 'INT64' : 'FP32'),
      )
    : inspection.inputs.map(({ name, datatype }) => inputOf(name, sentAs(datatype)));
  const own = only && more.length === 0 ? only.name : OUTPUT_NAME;
  // Data that was scored before may have a column of that name.
  const taken = inputs.some(({ name }) => name === own);
  return { task: 'regression', inputs, output: { name: taken ? `${own}_given` : own, datatype: 'FP32' } };
}

function matrixFeatures(
  shape: readonly (number | null)[],
  columns: readonly DataColumn[],
  features: readonly string[] | null,
): readonly string[] {
  if (features !== null) return features;
  const numeric = columns.filter(isNumeric).map(({ name }) => name);
  if (shape[1] === numeric.length) return numeric;
  throw new SlipwayError(
    'MODEL_SIGNATURE',
    `the model takes a matrix ${shapeText(shape)} without names, and the data has ${numeric.length} numeric columns (${numeric.join(', ')}); name the ${shape[1] ?? 'ones'} that it takes, in the order that it was trained with: --features <a,b,…>`,
  );
}

function inputOf(name: string, datatype: string): InputSignature {
  const type = FEATURE_OF[datatype];
  if (type === undefined)
    throw new SlipwayError(
      'MODEL_SIGNATURE',
      `input ${name} is ${datatype}; expected ${Object.keys(FEATURE_OF).join(', ')}`,
    );
  // A boolean has no value that says missing.
  return {
    name,
    type,
    datatype: TENSOR_TYPE_OF[type],
    unit: '',
    range: null,
    values: null,
    nullable: type !== 'boolean',
    parts: [],
    onInvalid: 'reject',
  };
}

export interface LocalGateway {
  readonly url: string;
  readonly model: string;
  close(): Promise<void>;
}

/** A gateway for one file on a port of 127.0.0.1 (0: any free one), without keys, store or approvals. Throws MODEL_UNREADABLE. */
export async function serveFile(onnxPath: string, signature: Signature, port: number): Promise<LocalGateway> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-try-'));
  const signatureFile = join(folder, 'signature.json');
  await writeFile(signatureFile, JSON.stringify(signature));
  const [program, ...args] = [...nodeEntry(localGatewayEntry), resolve(onnxPath), signatureFile, String(port)];
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, SLIPWAY_LOG_LEVEL: 'error' },
  });
  const close = async (): Promise<void> => {
    const exited = child.exitCode === null ? new Promise((done) => child.once('exit', done)) : null;
    child.stdin.end();
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    return { ...(await readReady(child)), close };
  } catch (error) {
    child.kill('SIGKILL');
    await close();
    throw error;
  }
}

async function readReady(child: ChildProcess): Promise<{ url: string; model: string }> {
  const lines = createInterface({ input: child.stdout! });
  return new Promise((ready, fail) => {
    const timer = setTimeout(
      () => fail(new SlipwayError('MODEL_UNREADABLE', `the model was not loaded in ${READY_TIMEOUT_MS / 1000} s`)),
      READY_TIMEOUT_MS,
    );
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      act();
    };
    lines.once('line', (line) =>
      settle(() =>
        line.startsWith('{"url"') ? ready(JSON.parse(line) as { url: string; model: string }) : fail(failure(line)),
      ),
    );
    child.once('exit', () => settle(() => fail(failure('the gateway ended while loading it'))));
  });
}

function failure(line: string): SlipwayError {
  return new SlipwayError('MODEL_UNREADABLE', `the model could not be served: ${line.slice(0, 500)}`);
}
