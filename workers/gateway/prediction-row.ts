import type { ArmIndex } from './generation-counts';
import type { DecodedInputs } from './input-plan';
import type { LoadedRelease, ServedModel } from './served-model';

/** One request on its way into the prediction log; one log row for each of its rows. */
export interface LoggedRequest {
  readonly served: ServedModel;
  /** `champion`, `challenger`, or a shadow's name. */
  readonly arm: string;
  readonly release: LoadedRelease;
  readonly requestId: string;
  readonly key: string;
  readonly eventMs: number;
  readonly receivedMs: number;
  readonly status: string;
  readonly inputs: DecodedInputs;
  /** Whose signature the inputs are in the order of: the champion's where it answered for a failed challenger. */
  readonly readBy: LoadedRelease;
  readonly rows: number;
  readonly scores: Float32Array | null;
  readonly pairedRelease: number | null;
  readonly pairedScores: Float32Array | null;
  readonly latencyUs: number;
}

export interface PredictionSink {
  add(request: LoggedRequest): void;
}

/** Row r of a request with several has the id `<request>/<r>`; of one with a single row, the request's own. */
export function rowId(requestId: string, rows: number, row: number): string {
  return rows === 1 ? requestId : `${requestId}/${row}`;
}

export const CHAMPION: ArmIndex = 0;
export const CHALLENGER: ArmIndex = 1;
