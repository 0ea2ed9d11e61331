import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { quoteText, quoteName, withDuckDb } from '../infra/data/duckdb';
import { checkSignature, inspectModel } from '../infra/onnx/inspect-model';
import { nodeEntry } from '../infra/process/node-entry';
import { SlipwayError } from '../workflows/domain/errors';
import { type InputSignature, type Signature, TENSOR_TYPE_OF } from '../workflows/domain/release';
import type { FeatureType } from '../workflows/domain/spec';
import type { PredictRow } from './predict';

/** Workers are not imported here: the little gateway is a process of its own. */
const localGatewayEntry = resolve(__dirname, '../workers/local-gateway.ts');
const READY_TIMEOUT_MS = 30_000;

const FEATURE_OF: Readonly<Record<string, FeatureType>> = {
  FP32: 'number',
  INT64: 'integer',
  BYTES: 'category',
  BOOL: 'boolean',
};

/**
 * The ABI that a model file itself shows, with nothing declared: no units, no ranges. Throws MODEL_UNREADABLE, or MODEL_SIGNATURE
 * where the graph is not one input of shape [rows, 1] for each feature and one FP32 output [rows, 1].
 */
export async function signatureOfFile(path: string): Promise<Signature> {
  const inspection = await inspectModel(path);
  const output = inspection.outputs[0];
  const inputs = inspection.inputs.map(({ name, datatype }) => inputOf(name, datatype));
  const signature: Signature = {
    task: 'regression',
    inputs,
    output: { name: output?.name ?? 'score', datatype: 'FP32' },
  };
  checkSignature(inspection, signature);
  return signature;
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

/** First rows of a Parquet or CSV file, the model's inputs only. Throws NOT_FOUND, DATA_UNREADABLE, or DATA_SCHEMA naming what is missing. */
export async function readRows(path: string, signature: Signature, limit: number): Promise<PredictRow[]> {
  const file = resolve(path);
  await stat(file).catch((error: unknown) => {
    throw new SlipwayError('NOT_FOUND', `${path} cannot be read`, { cause: error });
  });
  const source = file.endsWith('.parquet')
    ? `read_parquet(${quoteText(file)})`
    : `read_csv(${quoteText(file)}, header = true)`;
  const folder = await mkdtemp(join(tmpdir(), 'slipway-try-rows-'));
  try {
    return await withDuckDb({ threads: 1, memoryMb: 512, folder, files: [file] }, async (db) => {
      const described = await db.rows<{ column_name: string; column_type: string }>(`DESCRIBE SELECT * FROM ${source}`);
      const columns = new Map(described.map((row) => [row.column_name, row.column_type]));
      const missing = signature.inputs.filter((input) => !columns.has(input.name)).map((input) => input.name);
      if (missing.length > 0)
        throw new SlipwayError(
          'DATA_SCHEMA',
          `${path} lacks the model's inputs ${missing.join(', ')}; it has ${[...columns.keys()].join(', ')}`,
        );
      return db.rows(
        `SELECT ${signature.inputs.map((input) => columnOf(input, columns.get(input.name)!)).join(', ')} FROM ${source} LIMIT ${limit}`,
      );
    });
  } catch (error) {
    if (error instanceof SlipwayError) throw error;
    throw new SlipwayError('DATA_UNREADABLE', `${path}: ${(error as Error).message.split('\n')[0]}`, { cause: error });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Instants are sent as epoch ms. */
function columnOf(input: InputSignature, columnType: string): string {
  const name = quoteName(input.name);
  if (input.datatype === 'INT64' && /^(TIMESTAMP|DATE)/.test(columnType))
    return `epoch_ms(CAST(${name} AS TIMESTAMP)) AS ${name}`;
  const types: Readonly<Record<string, string>> = {
    FP32: 'DOUBLE',
    INT64: 'BIGINT',
    BYTES: 'VARCHAR',
    BOOL: 'BOOLEAN',
  };
  return `CAST(${name} AS ${types[input.datatype]}) AS ${name}`;
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
