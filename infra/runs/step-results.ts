import { keys } from '../../workflows/domain/keys';
import { STEPS, type RunRequest, type Step } from '../../workflows/domain/run';
import { canonicalBytes, digestOfJson } from '../object-store/digest';
import type { ObjectStore } from '../object-store/port';

/** Names a step's result by what went into it: 16 hex digits of the SHA-256 of the canonical JSON. */
export function stepCacheKey(inputs: unknown): string {
  return digestOfJson(inputs).slice('sha256:'.length, 'sha256:'.length + 16);
}

/**
 * The result that this run, or the earlier attempt it takes its first steps over from, has for exactly these inputs; null where
 * the step must be done. What an attempt took over is kept under its own name too, so that attempts can follow each other.
 */
export async function findStepResult<T>(
  store: ObjectStore,
  request: RunRequest,
  step: Step,
  cacheKey: string,
): Promise<T | null> {
  const own = await read<T>(store, keys.runStep(request.model, request.run, step, cacheKey));
  if (own !== null || request.from === null || STEPS.indexOf(step) >= STEPS.indexOf(request.from.step)) return own;
  const earlier = await read<T>(store, keys.runStep(request.model, request.from.run, step, cacheKey));
  return earlier === null ? null : keepStepResult(store, request, step, cacheKey, earlier);
}

/** Keeps a result unless another attempt of the activity was first; returns the one that is kept, which all go on with. */
export async function keepStepResult<T>(
  store: ObjectStore,
  request: RunRequest,
  step: Step,
  cacheKey: string,
  result: T,
): Promise<T> {
  const key = keys.runStep(request.model, request.run, step, cacheKey);
  if (await store.create(key, canonicalBytes(result))) return result;
  return (await read<T>(store, key)) ?? result;
}

async function read<T>(store: ObjectStore, key: string): Promise<T | null> {
  const bytes = await store.get(key);
  return bytes === null ? null : (JSON.parse(Buffer.from(bytes).toString('utf8')) as T);
}
