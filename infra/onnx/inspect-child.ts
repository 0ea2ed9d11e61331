import { readFileSync } from 'node:fs';
import { Tensor } from 'onnxruntime-node';
import { type ErrorCode, SlipwayError } from '../../workflows/domain/errors';
import { parseModelFile } from './model-file';
import type { ModelFile, ModelValue } from './model-file';
import type { ChildReply, ModelInspection } from './inspect-model';
import { GraphBuilder } from './graph-builder';
import { openSession } from './session';

/** Rows of the probe: two, so that an output that ignores the batch shows. */
const PROBE_ROWS = 2;

type Maker = (count: number, dims: readonly number[]) => Tensor;

/** Zeros (or empty texts) of each datatype that a probe can send. */
const ZEROS: Readonly<Record<string, Maker>> = {
  FP32: (count, dims) => new Tensor('float32', new Float32Array(count), dims),
  FP64: (count, dims) => new Tensor('float64', new Float64Array(count), dims),
  INT32: (count, dims) => new Tensor('int32', new Int32Array(count), dims),
  INT64: (count, dims) => new Tensor('int64', new BigInt64Array(count), dims),
  BOOL: (count, dims) => new Tensor('bool', new Uint8Array(count), dims),
  BYTES: (count, dims) => new Tensor('string', new Array<string>(count).fill(''), dims),
};

function probeInput(value: ModelValue): Tensor {
  const dims = value.shape.map((size) => size ?? PROBE_ROWS);
  const make = ZEROS[value.datatype];
  if (!make)
    throw new SlipwayError(
      'MODEL_UNREADABLE',
      `the model cannot be used: input ${value.name} has the type ${value.datatype}`,
    );
  return make(
    dims.reduce((product, size) => product * size, 1),
    dims,
  );
}

async function inspect(path: string, maxElements: number): Promise<ChildReply<ModelInspection>> {
  const bytes = readFileSync(path);
  const file: ModelFile = parseModelFile(bytes, maxElements);
  await openSession(nothingModel());
  const beforeBytes = process.memoryUsage.rss();
  const session = await openSession(bytes);
  const startedMs = performance.now();
  const out = await session.run(Object.fromEntries(file.inputs.map((input) => [input.name, probeInput(input)])));
  const probeShapes = Object.fromEntries(Object.entries(out).map(([name, tensor]) => [name, [...tensor.dims]]));
  const probeMs = performance.now() - startedMs;
  const memoryBytes = Math.max(bytes.length, process.memoryUsage.rss() - beforeBytes);
  return { ok: true, answer: { ...file, bytes: bytes.length, probeShapes, probeMs, memoryBytes } };
}

/** Opening the first session costs what the runtime itself needs; a model is not charged with that. */
function nothingModel(): Uint8Array {
  const graph = new GraphBuilder();
  graph.output(graph.op('Identity', [graph.input('x', 'float', ['n', 1])]), 'float', ['n', 1], 'y');
  return graph.modelBytes('nothing');
}

/** Whatever went wrong in a child that opens a model is the model's fault, unless it has a code of its own. */
export function failureOf(error: unknown): { readonly ok: false; readonly code?: ErrorCode; readonly message: string } {
  const message = error instanceof Error ? error.message : String(error);
  return {
    ok: false,
    ...(error instanceof SlipwayError ? { code: error.code } : {}),
    message: error instanceof SlipwayError ? message : `the model cannot be used: ${message.slice(0, 500)}`,
  };
}

/** Run by `inspectModel` in a limited child: `inspect-child.ts <model file> <largest number of values>`. */
if (require.main === module) {
  const [path, maxElements] = process.argv.slice(2);
  void inspect(path ?? '', Number(maxElements))
    .catch(failureOf)
    .then((reply) => process.stdout.write(`${JSON.stringify(reply)}\n`));
}
