import { readFileSync, writeFileSync } from 'node:fs';
import { Tensor } from 'onnxruntime-node';
import { SlipwayError } from '../../workflows/domain/errors';
import type { Signature } from '../../workflows/domain/release';
import { adaptGraph } from './adapt-matrix-model';
import type { Adaptation, Answer } from './adapt-plan';
import { columnOf, type FeatureTable } from './feature-table';
import { tensorsOf } from './feature-tensors';
import { failureOf } from './inspect-child';
import type { ChildReply } from './inspect-model';
import { type ModelValue, parseModelFile } from './model-file';
import { type RandomSource, streamOf } from './random';
import { openSession } from './session';

/** Rows on which the adapted model must answer as the one it was made of. */
const PROOF_ROWS = 64;
const SEED = 7;

export interface AdaptJob {
  readonly adaptation: Adaptation;
  readonly signature: Signature;
}

type Outputs = Readonly<Record<string, { readonly data: unknown }>>;

/** Writes the adapted model to `target`, once both gave the same answers. */
async function adapt(
  path: string,
  maxElements: number,
  job: AdaptJob,
  target: string,
): Promise<ChildReply<{ rows: number }>> {
  const { adaptation, signature } = job;
  const bytes = readFileSync(path);
  const { inputs } = parseModelFile(bytes, maxElements);
  const adapted = adaptGraph(bytes, adaptation, inputs, signature);
  const table = drawTable(signature);
  const given: Outputs = await (await openSession(bytes)).run(givenTensors(adaptation, inputs, signature, table));
  const served: Outputs = await (await openSession(adapted)).run(tensorsOf(table, signature.inputs, 0, table.rows));
  const expected = scoresOf(given[adaptation.answer.name]?.data, adaptation.answer);
  const scores = scoresOf(served[signature.output.name]?.data, { ...adaptation.answer, pick: 'column' });
  if (expected.length !== table.rows || !expected.every((score, row) => Object.is(score, scores[row])))
    throw new SlipwayError(
      'MODEL_UNREADABLE',
      'the model cannot be used: put into the form that is served, it answers otherwise',
    );
  if (adaptation.answer.pick === 'second') checkProbabilities(adaptation.answer, expected);
  writeFileSync(target, adapted);
  return { ok: true, answer: { rows: table.rows } };
}

/** Margins and votes come in two columns as well. */
function checkProbabilities({ name }: Answer, scores: readonly number[]): void {
  if (scores.every((score) => score >= 0 && score <= 1)) return;
  throw new SlipwayError(
    'MODEL_SIGNATURE',
    `the two columns of output ${name} are no probabilities; export without raw scores`,
  );
}

function drawTable({ inputs }: Signature): FeatureTable {
  const random = streamOf(SEED);
  const columns = inputs.map(({ name, datatype }) => [name, drawColumn(datatype, random)] as const);
  return { rows: PROOF_ROWS, columns: Object.fromEntries(columns) };
}

/** Values of many sizes, so that every branch of small trees is met. */
function drawColumn(
  datatype: Signature['inputs'][number]['datatype'],
  random: RandomSource,
): FeatureTable['columns'][string] {
  const draw = (): number => (random() - 0.5) * 10 ** Math.floor(random() * 5);
  const rows = Array.from({ length: PROOF_ROWS }, draw);
  switch (datatype) {
    case 'FP32':
      return Float32Array.from(rows);
    case 'INT64':
      return BigInt64Array.from(rows, (value) => BigInt(Math.round(value)));
    case 'BOOL':
      return Uint8Array.from(rows, (value) => (value > 0 ? 1 : 0));
    case 'BYTES':
      return rows.map((value) => ['', 'a', 'b'][Math.abs(Math.round(value)) % 3]!);
  }
}

/** The same rows as the given model takes them. */
function givenTensors(
  { matrix }: Adaptation,
  inputs: readonly ModelValue[],
  signature: Signature,
  table: FeatureTable,
): Record<string, Tensor> {
  if (matrix) {
    const columns = signature.inputs.map(({ name }) => columnOf(table, name));
    const values = Array.from({ length: table.rows }, (_, row) => columns.map((column) => Number(column[row]))).flat();
    return { [matrix.name]: numericTensor(matrix.datatype, values, [table.rows, columns.length]) };
  }
  const sent = tensorsOf(table, signature.inputs, 0, table.rows);
  return Object.fromEntries(
    inputs.map(({ name, datatype, shape }) => {
      const tensor = sent[name]!;
      const dims = shape.length === 1 ? [table.rows] : [table.rows, 1];
      if (datatype !== 'FP64' && datatype !== 'INT32') return [name, tensor.reshape(dims)];
      return [name, numericTensor(datatype, Array.from(tensor.data as ArrayLike<number | bigint>, Number), dims)];
    }),
  );
}

function numericTensor(datatype: string, values: readonly number[], dims: readonly number[]): Tensor {
  switch (datatype) {
    case 'FP64':
      return new Tensor('float64', Float64Array.from(values), dims);
    case 'INT32':
      return new Tensor('int32', Int32Array.from(values), dims);
    case 'INT64':
      return new Tensor(
        'int64',
        BigInt64Array.from(values, (value) => BigInt(value)),
        dims,
      );
    default:
      return new Tensor('float32', Float32Array.from(values), dims);
  }
}

function scoresOf(data: unknown, { pick }: Answer): number[] {
  if (!(data instanceof Float32Array || data instanceof Float64Array)) return [];
  const values = Array.from(data, Math.fround);
  return pick === 'second' ? values.filter((_, index) => index % 2 === 1) : values;
}

/** Run by `adaptModel` in a limited child: `adapt-child.ts <model file> <largest number of values> <job file> <target>`. */
if (require.main === module) {
  const [path = '', maxElements, jobFile = '', target = ''] = process.argv.slice(2);
  void Promise.resolve()
    .then(() => adapt(path, Number(maxElements), JSON.parse(readFileSync(jobFile, 'utf8')) as AdaptJob, target))
    .catch(failureOf)
    .then((reply) => process.stdout.write(`${JSON.stringify(reply)}\n`));
}
