import { SlipwayError } from '../../workflows/domain/errors';

export function answerInvalid(detail: string): SlipwayError {
  return new SlipwayError('ENDPOINT_ANSWER_INVALID', detail);
}

/** Kind and size of a piece of an answer, and nothing of what it holds: that may be of a person (invariant I10). */
export function shapeOf(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return `a list of ${value.length}${value.length > 0 ? ` (${shapeOf(value[0])})` : ''}`;
  if (typeof value === 'object') return 'an object';
  return typeof value === 'string' ? 'text' : typeof value === 'number' ? 'a number' : 'true or false';
}

/** Throws ENDPOINT_ANSWER_INVALID. A parser's own message would quote the answer. */
export function parseAnswer(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    throw answerInvalid(`expected JSON; found ${body.length} bytes of something else`);
  }
}

/** Throws ENDPOINT_ANSWER_INVALID for a score that is no finite number, also once it is an FP32. */
export function finiteScores(values: ArrayLike<unknown>, transform: (score: number) => number = same): Float32Array {
  const scores = new Float32Array(values.length);
  for (let row = 0; row < scores.length; row += 1) {
    const value = values[row];
    if (typeof value !== 'number') throw answerInvalid(`row ${row}: expected a number; found ${shapeOf(value)}`);
    scores[row] = transform(value);
    // Before it too: the sigmoid of an infinity is a number.
    if (!Number.isFinite(value) || !Number.isFinite(scores[row]))
      throw answerInvalid(`row ${row}: the score is not finite`);
  }
  return scores;
}

const same = (score: number): number => score;
