import { parentPort } from 'node:worker_threads';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type {
  PackedBatch,
  RunRequest,
  RunResult,
  SessionInputs,
  ThreadReply,
  ThreadRequest,
} from './executor-messages';
import { openPacked, packedFeed } from './packed-session';

/**
 * One inference thread. `InferenceSession.run` blocks the thread that calls it, whatever its type says, which is why this
 * is not done where requests are answered.
 */
interface Loaded {
  readonly session: InferenceSession;
  readonly inputs: SessionInputs;
  readonly fetches: readonly string[];
  /** Its float inputs are one. */
  readonly isPacked: boolean;
}

const OPTIONS = {
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  logSeverityLevel: 4,
} as const;

const sessions = new Map<number, Loaded>();
const port = parentPort!;

async function load(request: Extract<ThreadRequest, { kind: 'load' }>): Promise<ThreadReply> {
  try {
    const plain = await InferenceSession.create(request.path, OPTIONS);
    const packed = await openPacked(request.path, plain, request.inputs, OPTIONS);
    if (packed) await plain.release();
    const { inputs } = request;
    const loaded = { session: packed ?? plain, inputs, fetches: [inputs.output], isPacked: packed !== null };
    await warm(loaded);
    sessions.set(request.session, loaded);
    return { kind: 'loaded', session: request.session, error: null };
  } catch (error) {
    return { kind: 'loaded', session: request.session, error: (error as Error).message };
  }
}

/** The first inference allocates; no caller should wait for that. Whether the model likes zeros is not asked here. */
async function warm(loaded: Loaded): Promise<void> {
  const each = loaded.inputs.inputs.length;
  const batch: PackedBatch = {
    rows: 1,
    floats: new Float32Array(loaded.inputs.inputs.filter(({ datatype }) => datatype === 'FP32').length),
    integers: new Float64Array(each),
    booleans: new Uint8Array(each),
    strings: new Array<string>(each).fill(''),
  };
  await loaded.session.run(toFeeds(batch, loaded), loaded.fetches).catch(() => undefined);
}

async function run(request: RunRequest): Promise<RunResult> {
  const startedMs = performance.now();
  try {
    const loaded = sessions.get(request.session);
    if (!loaded) throw new Error('the session is not loaded');
    const result = await loaded.session.run(toFeeds(request.batch, loaded), loaded.fetches);
    const output = toScores(result[loaded.inputs.output], request.batch.rows);
    return { output, ms: performance.now() - startedMs, error: null };
  } catch (error) {
    return { output: null, ms: performance.now() - startedMs, error: (error as Error).message };
  }
}

function toFeeds(batch: PackedBatch, { inputs: { inputs }, isPacked }: Loaded): Record<string, Tensor> {
  const { rows } = batch;
  const dims = [rows, 1];
  const feeds: Record<string, Tensor> = isPacked ? packedFeed(batch.floats) : {};
  const used = { FP32: 0, INT64: 0, BOOL: 0, BYTES: 0 };
  for (const input of inputs) {
    if (isPacked && input.datatype === 'FP32') continue;
    const from = used[input.datatype];
    const to = from + rows;
    used[input.datatype] = to;
    feeds[input.name] = toTensor(batch, input.datatype, from, to, dims);
  }
  return feeds;
}

function toTensor(
  batch: PackedBatch,
  datatype: keyof typeof TENSORS,
  from: number,
  to: number,
  dims: number[],
): Tensor {
  return TENSORS[datatype](batch, from, to, dims);
}

const TENSORS = {
  FP32: (batch: PackedBatch, from: number, to: number, dims: number[]) =>
    new Tensor('float32', batch.floats.subarray(from, to), dims),
  INT64: (batch: PackedBatch, from: number, to: number, dims: number[]) =>
    new Tensor(
      'int64',
      BigInt64Array.from(batch.integers.subarray(from, to) as unknown as Iterable<bigint>, BigInt),
      dims,
    ),
  BOOL: (batch: PackedBatch, from: number, to: number, dims: number[]) =>
    new Tensor('bool', batch.booleans.subarray(from, to), dims),
  BYTES: (batch: PackedBatch, from: number, to: number, dims: number[]) =>
    new Tensor('string', batch.strings.slice(from, to), dims),
};

/** Throws where the graph does not keep to its signature: FP32, one score a row. */
function toScores(output: Tensor | undefined, rows: number): Float32Array {
  if (!(output?.data instanceof Float32Array))
    throw new Error(`the output has type ${output?.type ?? 'none'}; the signature says FP32`);
  if (output.data.length !== rows) throw new Error(`the output has ${output.data.length} values for ${rows} rows`);
  return output.data;
}

async function handle(request: ThreadRequest): Promise<void> {
  if (request.kind === 'unload') {
    const loaded = sessions.get(request.session);
    sessions.delete(request.session);
    await loaded?.session.release();
    return;
  }
  if (request.kind === 'load') return port.postMessage(await load(request));
  for (const one of request.runs) port.postMessage({ kind: 'ran', result: await run(one) } satisfies ThreadReply);
}

// One after the other: a reply is matched to its request by order alone.
let tail = Promise.resolve();
port.on('message', (request: ThreadRequest) => {
  tail = tail.then(() => handle(request));
});
