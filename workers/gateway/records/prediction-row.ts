import type { ErrorCode } from '../../../workflows/domain/errors';
import { bucketOf } from '../../../workflows/domain/route';
import type { ArmIndex } from './generation-counts';
import type { TraceParent } from '../edge/trace';
import type { DecodedInputs } from '../inference/input-plan';
import type { LoadedRelease, ServedModel } from '../routes/served-model';

/** One request on its way into the prediction log; one log row for each of its rows. */
export interface LoggedRequest {
  readonly served: ServedModel;
  /** `champion`, `challenger`, or a shadow's name. */
  readonly arm: string;
  readonly release: LoadedRelease;
  readonly requestId: string;
  /** Null where it is not to be known. */
  readonly key: string | null;
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
  /** As it came. */
  readonly traceparent: TraceParent;
}

/** One that an arm answered. */
export interface AnsweredRequest extends LoggedRequest {
  readonly key: string;
}

/** A request whose values the champion refused: logged with its code and without a value, so that its kind shows and its content does not. */
export interface Refusal {
  readonly call: Pick<AnsweredRequest, 'served' | 'requestId' | 'key' | 'eventMs' | 'receivedMs' | 'traceparent'>;
  readonly rows: number;
  readonly code: ErrorCode;
  readonly latencyUs: number;
}

/**
 * What the log says of a refusal. The refused values are in it as nulls: they may be anything a caller typed into the wrong field, and
 * the monitor needs to know how many there are, not which. A key that is a feature's value is such a value.
 */
export function refusedRequest({ call, rows, code, latencyUs }: Refusal): LoggedRequest {
  const { served, requestId, key, eventMs, receivedMs, traceparent } = call;
  return {
    ...{ served, requestId, eventMs, receivedMs, rows, latencyUs, traceparent },
    key: served.route.assignment.source === 'feature' ? null : key,
    arm: 'champion',
    release: served.champion,
    status: code,
    inputs: { rows, columns: [], flagged: 0, imputed: 0 },
    readBy: served.champion,
    scores: null,
    pairedRelease: null,
    pairedScores: null,
  };
}

/** Nobody scored it: its values were refused. */
export function isRefused({ status, scores, pairedScores }: LoggedRequest): boolean {
  return status === 'INPUT_INVALID' && scores === null && pairedScores === null;
}

/** Share of requests that are logged: the champion's, so that both arms are sampled alike. */
export function sampleOf({ champion }: ServedModel): number {
  return champion.manifest.serving.log.sample;
}

/** By the id, so that a request is in the log with all that belongs to it, or not at all; not by the route's salt, or arms would be. */
export function isSampled({ served, requestId }: Pick<LoggedRequest, 'served' | 'requestId'>): boolean {
  const sample = sampleOf(served);
  return sample >= 1 || bucketOf('prediction-log', requestId) < sample;
}

export interface PredictionSink {
  add(request: LoggedRequest): void;
}

export const CHAMPION: ArmIndex = 0;
export const CHALLENGER: ArmIndex = 1;
