import type { InferenceSession } from 'onnxruntime-node';
import { randomBytes } from 'node:crypto';
import { scoreRows } from '../../../infra/onnx/score-table';
import { openSession } from '../../../infra/onnx/session';
import type { Signature } from '../../../workflows/domain/release';
import type { Requests } from './request-file';
import { bodyWithId, type Row } from './workload';

/** Batches of different sizes may add up in another order. */
const TOLERANCE = 1e-5;
const IN_FLIGHT = 32;

/** Scores by direct inference, without any server. */
export async function directScores(
  model: string | Uint8Array,
  signature: Signature,
  rows: readonly Row[],
): Promise<Float32Array> {
  const session: InferenceSession = await openSession(model);
  try {
    const named = rows.map((row) => Object.fromEntries(signature.inputs.map(({ name }, index) => [name, row[index]!])));
    return await scoreRows(session, signature, named);
  } finally {
    await session.release();
  }
}

/** Scores in an answer: every `stride`-th value of its first output, from the last of the first stride. */
export async function scoresOf(response: Response, stride = 1): Promise<number[]> {
  const bytes = Buffer.from(await response.arrayBuffer());
  const jsonBytes = Number(response.headers.get('inference-header-content-length') ?? bytes.length);
  const answer = JSON.parse(bytes.toString('utf8', 0, jsonBytes)) as {
    outputs?: { data?: readonly number[] }[];
  };
  const values =
    answer.outputs?.[0]?.data ??
    new Float32Array(bytes.buffer.slice(bytes.byteOffset + jsonBytes, bytes.byteOffset + bytes.length));
  return [...values].filter((_, index) => index % stride === stride - 1);
}

export interface AnswerCheck {
  readonly name: string;
  readonly origin: string;
  readonly requests: Requests;
  /** By body. */
  readonly expected: readonly (readonly number[])[];
  readonly stride?: number;
  /** How often every body is sent. */
  readonly times: number;
  /** How many at once; 32 where it is not said. */
  readonly inFlight?: number;
}

/** Sends every body several times, many at once, and holds every answer against direct inference. Throws at the first that differs. */
export async function checkAnswers({
  name,
  origin,
  requests,
  expected,
  stride = 1,
  times,
  inFlight = IN_FLIGHT,
}: AnswerCheck): Promise<number> {
  const { path, headers, bodies } = requests;
  const prefix = randomBytes(3).toString('hex');
  const total = times * bodies.length;
  let next = 0;
  const ask = async (): Promise<void> => {
    while (next < total) {
      const at = next++;
      const body = bodyWithId(bodies[at % bodies.length]!, `${prefix}${String(at).padStart(10, '0')}`);
      const response = await fetch(`${origin}${path}`, { method: 'POST', headers, body });
      if (response.status !== 200) throw new Error(`${name} answers ${response.status}: ${await response.text()}`);
      const scores = await scoresOf(response, stride);
      const right = expected[at % bodies.length]!;
      const isRight =
        scores.length === right.length && scores.every((score, row) => Math.abs(score - right[row]!) <= TOLERANCE);
      if (!isRight)
        throw new Error(`${name} answers ${scores.join(', ')} where direct inference gives ${right.join(', ')}`);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, ask));
  return total;
}
