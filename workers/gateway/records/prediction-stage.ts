import type { BufferPool } from './buffer-pool';
import type { Column } from '../inference/conversion';
import { isTyped, MISSING_INT64 } from '../inference/conversion';
import { traceIdOf } from '../edge/trace';
import { RECORD, type PredictionBatch } from './prediction-batch';
import { layoutOf, type PredictionLayout } from './prediction-layout';
import { isRefused, type LoggedRequest } from './prediction-row';
import type { ServedModel } from '../routes/served-model';

/** Own names: an import is looked up at each use, and the loops below use them for each value. */
const MISSING = MISSING_INT64;
const { HEAD, FIRST_INPUT, SCORE, PAIRED_SCORE, ROWS, EVENT_MS, RECEIVED_MS, ARM, RELEASE, STATUS } = RECORD;
const { PAIRED_RELEASE, LATENCY_US, ID_BYTES, KEY_BYTES, TRACE_BYTES, NO_TEXT, SAME_AS_ID } = RECORD;
/** The next batch may be a little larger than the last. */
const SPARE = 1.125;
const BYTES_EACH = Float64Array.BYTES_PER_ELEMENT;

/** Distinct texts in the order that they came in. */
class Codes {
  private readonly places = new Map<string, number>();
  readonly texts: string[] = [];

  of(text: string): number {
    const known = this.places.get(text);
    if (known !== undefined) return known;
    this.places.set(text, this.texts.length);
    return this.texts.push(text) - 1;
  }
}

/**
 * Rows of one generation as the log thread takes them, written while a request is at hand: nothing of the request is held, so that it
 * dies young. This is the hot path; each number is written once, into memory that is handed to the thread as it is.
 */
export class PredictionStage {
  rows = 0;
  /** Of these, of refused requests. */
  refused = 0;
  private requests = 0;
  private numbers: Float64Array;
  private numbersLength = 0;
  private text: Buffer;
  private textLength = 0;
  private readonly labels = new Codes();
  private readonly layout: PredictionLayout;
  private readonly categories: readonly (Codes | null)[];
  /** Columns in a row. */
  private readonly width: number;

  constructor(
    private readonly served: ServedModel,
    private readonly pool: BufferPool,
  ) {
    this.layout = layoutOf(served);
    const { inputs } = this.layout;
    this.categories = inputs.map(({ type }) => (type === 'category' ? new Codes() : null));
    this.width = FIRST_INPUT + inputs.length;
    this.numbers = new Float64Array(pool.take(this.layout.numbersBytes));
    this.text = Buffer.from(pool.take(this.layout.textBytes));
  }

  add(request: LoggedRequest): void {
    const { rows } = request;
    const at = this.reserve(HEAD + rows * this.width);
    const { places, keepsKey } = this.layout.readingOf(request.release, request.readBy);
    this.putHead(request, at, keepsKey);
    const first = at + HEAD;
    this.putScores(request.scores, first + SCORE * rows, rows);
    this.putScores(request.pairedScores, first + PAIRED_SCORE * rows, rows);
    const { columns } = request.inputs;
    for (let input = 0; input < places.length; input += 1) {
      const column = places[input]! < 0 ? undefined : columns[places[input]!];
      const to = first + (FIRST_INPUT + input) * rows;
      if (column === undefined) this.putNothing(to, rows);
      else if (isTyped(column)) this.putTyped(column, to, rows);
      else this.putList(column, to, rows, this.categories[input]!);
    }
    this.requests += 1;
    this.rows += rows;
    if (isRefused(request)) this.refused += rows;
  }

  /** Of its numbers. */
  get bytes(): number {
    return this.numbersLength * BYTES_EACH;
  }

  /** The stage is not to be used after it: its memory goes with the batch. */
  take(sequence: number): PredictionBatch {
    this.layout.numbersBytes = roundUp(this.bytes * SPARE);
    this.layout.textBytes = roundUp(this.textLength * SPARE);
    return {
      model: this.served.route.model,
      sequence,
      layout: this.layout.batch,
      requests: this.requests,
      numbers: this.numbers.buffer as ArrayBuffer,
      text: this.text.buffer as ArrayBuffer,
      labels: this.labels.texts,
      categories: this.categories.map((codes) => codes?.texts ?? []),
    };
  }

  private putHead(request: LoggedRequest, at: number, keepsKey: boolean): void {
    const { requestId, key } = request;
    const idBytes = this.putText(requestId);
    const keyBytes = !keepsKey || key === null ? NO_TEXT : key === requestId ? SAME_AS_ID : this.putText(key);
    const traceId = request.traceparent === undefined ? null : traceIdOf(request.traceparent);
    const traceBytes = traceId === null ? NO_TEXT : this.putText(traceId);
    const { numbers } = this;
    numbers[at + ROWS] = request.rows;
    numbers[at + EVENT_MS] = request.eventMs;
    numbers[at + RECEIVED_MS] = request.receivedMs;
    numbers[at + ARM] = this.labels.of(request.arm);
    numbers[at + RELEASE] = request.release.ref.version;
    numbers[at + STATUS] = this.labels.of(request.status);
    numbers[at + PAIRED_RELEASE] = request.pairedRelease ?? NaN;
    numbers[at + LATENCY_US] = request.latencyUs;
    numbers[at + ID_BYTES] = idBytes;
    numbers[at + KEY_BYTES] = keyBytes;
    numbers[at + TRACE_BYTES] = traceBytes;
  }

  private putScores(scores: Float32Array | null, at: number, rows: number): void {
    if (scores === null) return this.putNothing(at, rows);
    const { numbers } = this;
    for (let row = 0; row < rows; row += 1) numbers[at + row] = scores[row] ?? NaN;
  }

  private putTyped(column: Float32Array | Float64Array, at: number, rows: number): void {
    const { numbers } = this;
    for (let row = 0; row < rows; row += 1) {
      const value = column[row]!;
      numbers[at + row] = value === MISSING ? NaN : value;
    }
  }

  private putList(
    column: Exclude<Column, Float32Array | Float64Array>,
    at: number,
    rows: number,
    codes: Codes | null,
  ): void {
    const { numbers } = this;
    for (let row = 0; row < rows; row += 1) {
      const value = column[row];
      if (typeof value === 'number') numbers[at + row] = value === MISSING ? NaN : value;
      else numbers[at + row] = value === undefined || value === '' || codes === null ? NaN : codes.of(value);
    }
  }

  private putNothing(at: number, rows: number): void {
    const { numbers } = this;
    for (let row = 0; row < rows; row += 1) numbers[at + row] = NaN;
  }

  /** UTF-8; bytes written. Ids are short and ASCII, which is done here faster than the call to do it. */
  private putText(value: string): number {
    const from = this.textLength;
    if (from + value.length * 3 > this.text.length) this.growText(value.length * 3);
    const { text } = this;
    for (let at = 0; at < value.length; at += 1) {
      const code = value.charCodeAt(at);
      if (code > 127 || at > 64) {
        const bytes = at + text.write(value.slice(at), from + at);
        this.textLength += bytes;
        return bytes;
      }
      text[from + at] = code;
    }
    this.textLength += value.length;
    return value.length;
  }

  private reserve(count: number): number {
    const at = this.numbersLength;
    this.numbersLength += count;
    if (this.numbersLength > this.numbers.length) {
      const bytes = Math.max(this.numbers.byteLength * 2, this.numbersLength * BYTES_EACH);
      const grown = new Float64Array(this.pool.take(Math.ceil(bytes / BYTES_EACH) * BYTES_EACH));
      grown.set(this.numbers.subarray(0, at));
      this.pool.give(this.numbers.buffer as ArrayBuffer);
      this.numbers = grown;
    }
    return at;
  }

  private growText(bytes: number): void {
    const grown = Buffer.from(this.pool.take(roundUp(Math.max(this.text.length * 2, this.textLength + bytes))));
    this.text.copy(grown, 0, 0, this.textLength);
    this.pool.give(this.text.buffer as ArrayBuffer);
    this.text = grown;
  }
}

/** Any buffer may be one of doubles the next time. */
function roundUp(bytes: number): number {
  return Math.ceil(bytes / BYTES_EACH) * BYTES_EACH;
}
