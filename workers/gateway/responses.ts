import { ERRORS, SlipwayError } from '../../workflows/domain/errors';
import type { ArmName } from '../../workflows/domain/route';
import type { LoadedRelease } from './served-model';

const heads = new WeakMap<LoadedRelease, Map<string, string>>();

/** The V2 answer to an inference; every part that only depends on release and generation is kept. */
export function encodeAnswer(
  release: LoadedRelease,
  arm: ArmName,
  generation: number,
  id: string,
  rows: number,
  scores: Float32Array,
  offset: number,
): string {
  let data = String(scores[offset]!);
  for (let row = 1; row < rows; row += 1) data += `,${scores[offset + row]!}`;
  return `${answerHead(release, arm, generation)}${rows},1],"data":[${data}]}],"id":${JSON.stringify(id)}}`;
}

function answerHead(release: LoadedRelease, arm: ArmName, generation: number): string {
  let known = heads.get(release);
  if (!known) heads.set(release, (known = new Map<string, string>()));
  const name = `${arm} ${generation}`;
  let head = known.get(name);
  if (head === undefined) {
    const { ref, manifest } = release;
    const about = JSON.stringify({
      model_name: ref.model,
      model_version: String(ref.version),
      parameters: { generation, arm, release: ref.digest },
    });
    head = `${about.slice(0, -1)},"outputs":[{"name":${JSON.stringify(manifest.signature.output.name)},"datatype":"FP32","shape":[`;
    // A release sees many generations; only the newest answers.
    if (known.size > 8) known.clear();
    known.set(name, head);
  }
  return head;
}

export interface ErrorAnswer {
  readonly status: number;
  readonly body: string;
  readonly code: SlipwayError['code'];
}

/** The V2 error of anything that was thrown: `{error, code, advice}`. What is not of the catalogue is INTERNAL. */
export function encodeError(error: unknown): ErrorAnswer {
  const known =
    error instanceof SlipwayError
      ? error
      : new SlipwayError('INTERNAL', error instanceof Error ? error.message : String(error));
  const { http, advice } = ERRORS[known.code];
  return { status: http, code: known.code, body: JSON.stringify({ error: known.message, code: known.code, advice }) };
}
