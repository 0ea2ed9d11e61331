import type { Answer } from '../inference-context';
import { answerHead, encodeAnswer } from '../responses';
import type { OutputForm } from './binary-request';

const FLOAT_BYTES = 4;

export interface BinaryAnswer {
  /** Bytes of JSON at the beginning of the body; null where all of it is JSON. */
  readonly head: number | null;
  readonly body: Buffer;
}

/** The V2 answer with its output as bytes behind the JSON, where the caller wants it so. */
export function encodeBinaryAnswer(answer: Answer, form: OutputForm): BinaryAnswer {
  const { release, arm, generation, requestId, scores } = answer;
  if (!form.isBinary(release.manifest.signature.output.name))
    return { head: null, body: Buffer.from(encodeAnswer(answer)) };
  const bytes = scores.length * FLOAT_BYTES;
  const json = `${answerHead(release, arm, generation)}${scores.length},1],"parameters":{"binary_data_size":${bytes}}}],"id":${JSON.stringify(requestId)}}`;
  const head = Buffer.byteLength(json);
  const body = Buffer.allocUnsafe(head + bytes);
  body.write(json, 0);
  body.set(new Uint8Array(scores.buffer, scores.byteOffset, bytes), head);
  return { head, body };
}
