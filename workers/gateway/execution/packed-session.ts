import { readFile, stat } from 'node:fs/promises';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { PACKED_INPUT, packInputs } from '../../../infra/onnx/pack-inputs';
import type { SessionInputs } from './executor-messages';

/** With fewer float inputs there is nothing to gain. */
const LEAST_INPUTS = 4;
/** A larger model takes so long that its tensors do not matter, and to open it twice would be noticed. */
const MOST_BYTES = 8 << 20;
const PROOF_ROWS = 5;

/** The float inputs of a session, in its order: the order of their values in a batch. */
export function floatNames({ inputs }: SessionInputs): string[] {
  return inputs.filter(({ datatype }) => datatype === 'FP32').map(({ name }) => name);
}

export function packedFeed(floats: Float32Array): Record<string, Tensor> {
  return { [PACKED_INPUT]: new Tensor('float32', floats, [floats.length, 1]) };
}

/**
 * The same model with its float inputs as one. Null where it is not worth it, cannot be done, or does not give the very same bits as
 * `plain` on some rows: then the model is run as it is.
 */
export async function openPacked(
  path: string,
  plain: InferenceSession,
  inputs: SessionInputs,
  options: InferenceSession.SessionOptions,
): Promise<InferenceSession | null> {
  const names = floatNames(inputs);
  if (names.length < LEAST_INPUTS || (await stat(path)).size > MOST_BYTES) return null;
  const bytes = packInputs(await readFile(path), names);
  if (!bytes) return null;
  let packed: InferenceSession | null = null;
  let isAlike = false;
  try {
    packed = await InferenceSession.create(bytes, options);
    isAlike = await answersAlike(plain, packed, inputs, names);
  } catch {
    // A graph that does not take it, or not these rows: it is served as it was.
  }
  if (isAlike) return packed;
  await packed?.release();
  return null;
}

async function answersAlike(
  plain: InferenceSession,
  packed: InferenceSession,
  inputs: SessionInputs,
  names: readonly string[],
): Promise<boolean> {
  const values = Float32Array.from({ length: names.length * PROOF_ROWS }, (_, at) => ((at * 7) % 23) / 8 - 1);
  const others = otherFeeds(inputs);
  const apart = names.map((name, at): [string, Tensor] => [
    name,
    new Tensor('float32', values.subarray(at * PROOF_ROWS, (at + 1) * PROOF_ROWS), [PROOF_ROWS, 1]),
  ]);
  const expected = await scoresOf(plain, { ...others, ...Object.fromEntries(apart) }, inputs.output);
  const found = await scoresOf(packed, { ...others, ...packedFeed(values) }, inputs.output);
  return expected.length === PROOF_ROWS && expected.every((score, row) => Object.is(score, found[row]));
}

async function scoresOf(
  session: InferenceSession,
  feeds: Record<string, Tensor>,
  output: string,
): Promise<readonly number[]> {
  const data = (await session.run(feeds, [output]))[output]?.data;
  return data instanceof Float32Array ? [...data] : [];
}

function otherFeeds({ inputs }: SessionInputs): Record<string, Tensor> {
  const dims = [PROOF_ROWS, 1];
  const feeds: Record<string, Tensor> = {};
  for (const { name, datatype } of inputs) {
    if (datatype === 'INT64') feeds[name] = new Tensor('int64', new BigInt64Array(PROOF_ROWS), dims);
    if (datatype === 'BOOL') feeds[name] = new Tensor('bool', new Uint8Array(PROOF_ROWS), dims);
    if (datatype === 'BYTES') feeds[name] = new Tensor('string', new Array<string>(PROOF_ROWS).fill(''), dims);
  }
  return feeds;
}
