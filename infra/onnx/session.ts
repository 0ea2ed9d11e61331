import { InferenceSession } from 'onnxruntime-node';

/** One thread: sums have one order, so that the same input gives the same bits (invariant I8). */
export const ORT_THREADS = 1;

export type SessionOptions = InferenceSession.SessionOptions;

/** Opens trusted or already inspected model bytes; what others made goes through `inspectModel` first. */
export function openSession(model: Uint8Array | string, options: SessionOptions = {}): Promise<InferenceSession> {
  const all: SessionOptions = {
    executionProviders: ['cpu'],
    intraOpNumThreads: ORT_THREADS,
    interOpNumThreads: ORT_THREADS,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 4,
    ...options,
  };
  return typeof model === 'string' ? InferenceSession.create(model, all) : InferenceSession.create(model, all);
}
