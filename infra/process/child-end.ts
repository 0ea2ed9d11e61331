import type { BlobStore } from '../object-store/port';
import type { ChildOutcome } from './port';

/** A child ended as nobody foresaw. Its message is ours to the letter, so that it may be shown wherever the failure is. */
export class ChildEndedError extends Error {
  override readonly name = 'ChildEndedError';
}

/** How a child ended, for messages: `went past its memory limit (its output is blob sha256:…)`. */
export async function describeEnd(blobs: Pick<BlobStore, 'put'>, outcome: ChildOutcome): Promise<string> {
  return `${howEnded(outcome)} ${await keepOutput(blobs, outcome)}`;
}

export function howEnded({ limit, signal, exitCode }: ChildOutcome): string {
  if (limit !== null) return `went past its ${limit} limit`;
  return signal === null ? `ended with exit code ${exitCode}` : `was ended by ${signal}`;
}

/**
 * What a child wrote may hold rows of data, which must not get into a workflow's history or a log line (invariant I10): it is kept
 * as a blob, which the text names.
 */
export async function keepOutput(blobs: Pick<BlobStore, 'put'>, outcome: ChildOutcome): Promise<string> {
  const output = `${outcome.stdout}${outcome.stderr}`;
  return output === '' ? '(it wrote nothing)' : `(its output is blob ${await blobs.put(Buffer.from(output))})`;
}
