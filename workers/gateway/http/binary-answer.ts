import type { Answer } from '../inference/answer';
import type { OutputTensor } from '../inference/output-tensor';
import { answerHead, encodeAnswer } from './responses';
import type { OutputForm } from './binary-request';
import { encodeTensor } from './binary-tensors';

const FLOAT_BYTES = 4;

export interface BinaryAnswer {
  /** Bytes of JSON at the beginning of the body; null where all of it is JSON. */
  readonly head: number | null;
  readonly body: Buffer;
}

/** The V2 answer with its outputs as bytes behind the JSON, where the caller wants them so. */
export function encodeBinaryAnswer(answer: Answer, form: OutputForm): BinaryAnswer {
  const { release, arm, generation, requestId, scores, outputs } = answer;
  const isBinary = form.isBinary(release.manifest.signature.output.name);
  const more = outputs.map((output) => encodeOutput(output, scores.length, form));
  if (!isBinary && more.every(({ bytes }) => bytes === null))
    return { head: null, body: Buffer.from(encodeAnswer(answer)) };
  const size = isBinary ? scores.length * FLOAT_BYTES : 0;
  const content = isBinary ? `"parameters":{"binary_data_size":${size}}` : `"data":[${scores.join(',')}]`;
  let json = `${answerHead(release, arm, generation)}${scores.length},1],${content}}`;
  for (const output of more) json += `,${output.json}`;
  json += `],"id":${JSON.stringify(requestId)}}`;
  const head = Buffer.byteLength(json);
  const body = Buffer.allocUnsafe(head + size + more.reduce((sum, { bytes }) => sum + (bytes?.length ?? 0), 0));
  body.write(json, 0);
  if (isBinary) body.set(new Uint8Array(scores.buffer, scores.byteOffset, size), head);
  let at = head + size;
  for (const { bytes } of more) {
    if (bytes === null) continue;
    body.set(bytes, at);
    at += bytes.length;
  }
  return { head, body };
}

function encodeOutput(
  { name, datatype, width, data }: OutputTensor,
  rows: number,
  form: OutputForm,
): { json: string; bytes: Uint8Array | null } {
  const about = { name, datatype, shape: [rows, width] };
  if (!form.isBinary(name)) return { json: JSON.stringify({ ...about, data: [...data] }), bytes: null };
  const bytes = encodeTensor(datatype, data);
  return { json: JSON.stringify({ ...about, parameters: { binary_data_size: bytes.length } }), bytes };
}
