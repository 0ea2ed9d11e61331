import type { OutputTensor } from './output-tensor';
import type { LoadedRelease } from '../routes/served-model';

/** The scores of one request, and what they came from. */
export interface Answer {
  readonly release: LoadedRelease;
  /** `champion`, `challenger`, or the shadow that a tester asked for. */
  readonly arm: string;
  readonly generation: number;
  readonly requestId: string;
  /** One a row. */
  readonly scores: Float32Array;
  /** What is told beside the scores: calibrated probabilities, explanations. */
  readonly outputs: readonly OutputTensor[];
}
