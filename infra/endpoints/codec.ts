import type { InputName, Values } from './columns';

/** One request without what every request has. */
export interface EncodedCall {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** What came back with a status of success. */
export interface RawAnswer {
  readonly body: Buffer;
  /** `Inference-Header-Content-Length`; null where the answer has none. */
  readonly jsonBytes: string | null;
}

/** From columns to the words of one server, and back. */
export interface EndpointCodec {
  readonly path: string;
  readonly inputs: readonly InputName[];
  /** Throws INPUT_INVALID for a missing value that cannot be sent. */
  check(columns: readonly Values[], rows: number): void;
  /** The rows [from, to). */
  encode(columns: readonly Values[], from: number, to: number): EncodedCall;
  /** One score a row. Throws ENDPOINT_ANSWER_INVALID, which says what was expected and what kind of thing was found, and no value. */
  decode(answer: RawAnswer, rows: number): Float32Array;
}
