import type { ErrorCode } from '../../workflows/domain/errors';
import { ERRORS, SlipwayError } from '../../workflows/domain/errors';
import type { ArmName } from '../../workflows/domain/route';
import type { Answer } from './inference-context';
import type { LoadedRelease } from './served-model';

const heads = new WeakMap<LoadedRelease, Map<string, string>>();

/** The V2 answer to an inference; every part that only depends on release and generation is kept. */
export function encodeAnswer({ release, arm, generation, requestId, scores }: Answer): string {
  let data = String(scores[0]!);
  for (let row = 1; row < scores.length; row += 1) data += `,${scores[row]!}`;
  return `${answerHead(release, arm, generation)}${scores.length},1],"data":[${data}]}],"id":${JSON.stringify(requestId)}}`;
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

/** What a caller is told that gets no scores. */
export interface Problem {
  readonly code: ErrorCode;
  readonly message: string;
  readonly advice: string;
  /** HTTP status. */
  readonly status: number;
  /** When it is worth another try; null where it is not. */
  readonly retryAfterSeconds: number | null;
}

/** Anything that was thrown; what is not of the catalogue is INTERNAL. */
export function problemOf(error: unknown): Problem {
  const known =
    error instanceof SlipwayError
      ? error
      : new SlipwayError('INTERNAL', error instanceof Error ? error.message : String(error));
  const { http, advice } = ERRORS[known.code];
  return {
    code: known.code,
    message: known.message,
    advice,
    status: http,
    retryAfterSeconds: http === 503 || http === 429 ? Math.max(1, Math.ceil((known.retryAfterMs ?? 0) / 1_000)) : null,
  };
}

/** The V2 error object: `{error, code, advice}`. */
export function encodeProblem({ message, code, advice }: Problem): string {
  return JSON.stringify({ error: message, code, advice });
}
