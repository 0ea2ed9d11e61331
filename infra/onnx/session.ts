import { InferenceSession } from 'onnxruntime-node';
import { ORT_THREADS } from './machine-class';

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
