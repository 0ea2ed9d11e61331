import type { Answer } from '../inference/answer';
import { encodeTensor } from '../http/binary-tensors';
import type { OutputTensor } from '../inference/output-tensor';
import type { LoadedRelease } from '../routes/served-model';
import { varintSize, WireWriter } from './wire-writer';

/** What is the same in all answers of a release in one arm and generation. */
interface Head {
  /** model_name, model_version, parameters. */
  readonly fields: Buffer;
  /** name and datatype of the output. */
  readonly output: Buffer;
}

const FLOAT_BYTES = 4;
/** More than tags and lengths of an answer take. */
const FRAME_BYTES = 64;
const MOST_HEADS = 8;
const heads = new WeakMap<LoadedRelease, Map<string, Head>>();

/** A ModelInferResponse (open-inference.proto); scores as raw_output_contents or as fp32_contents. */
export function encodeAnswer({ release, arm, generation, requestId, scores, outputs }: Answer, isRaw: boolean): Buffer {
  const head = headOf(release, arm, generation);
  const rows = scores.length;
  // A typed array over the scores is their little-endian form on every platform of ONNX Runtime.
  const floats = new Uint8Array(scores.buffer, scores.byteOffset, rows * FLOAT_BYTES);
  const shape = varintSize(rows) + 1;
  const contents = 1 + varintSize(floats.length) + floats.length;
  const tensor = head.output.length + 2 + shape + (isRaw ? 0 : 1 + varintSize(contents) + contents);
  const size = head.fields.length + requestId.length * 3 + tensor + floats.length + FRAME_BYTES;
  const writer = new WireWriter(size).append(head.fields).string(3, requestId);
  writer.head(5, tensor).append(head.output).head(3, shape).varint(rows).varint(1);
  if (!isRaw) writer.head(5, contents).raw(6, floats);
  for (const output of outputs) writer.raw(5, encodeOutputTensor(output, rows, isRaw));
  if (isRaw) {
    writer.raw(6, floats);
    for (const { datatype, data } of outputs) writer.raw(6, encodeTensor(datatype, data));
  }
  return writer.finish();
}

/** InferOutputTensor. */
function encodeOutputTensor({ name, datatype, width, data }: OutputTensor, rows: number, isRaw: boolean): Buffer {
  const writer = new WireWriter().string(1, name).string(2, datatype).int64s(3, [rows, width]);
  if (isRaw) return writer.finish();
  const contents = new WireWriter();
  if (datatype === 'FP32') contents.raw(6, encodeTensor(datatype, data));
  else for (const text of data) contents.string(8, text);
  return writer.raw(5, contents.finish()).finish();
}

function headOf(release: LoadedRelease, arm: string, generation: number): Head {
  let known = heads.get(release);
  if (!known) heads.set(release, (known = new Map<string, Head>()));
  const name = `${arm} ${generation}`;
  let head = known.get(name);
  if (!head) {
    head = { fields: encodeFields(release, arm, generation), output: encodeOutput(release) };
    // A release sees many generations; only the newest answers.
    if (known.size > MOST_HEADS) known.clear();
    known.set(name, head);
  }
  return head;
}

function encodeFields({ ref }: LoadedRelease, arm: string, generation: number): Buffer {
  const parameter = (name: string, value: WireWriter): Buffer =>
    new WireWriter().string(1, name).raw(2, value.finish()).finish();
  return new WireWriter()
    .string(1, ref.model)
    .string(2, String(ref.version))
    .raw(4, parameter('generation', new WireWriter().int64(2, generation)))
    .raw(4, parameter('arm', new WireWriter().string(3, arm)))
    .raw(4, parameter('release', new WireWriter().string(3, ref.digest)))
    .finish();
}

function encodeOutput({ manifest }: LoadedRelease): Buffer {
  return new WireWriter().string(1, manifest.signature.output.name).string(2, 'FP32').finish();
}
