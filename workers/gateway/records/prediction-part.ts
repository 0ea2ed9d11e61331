import { ByteSink } from '../../../infra/predictions/parquet/byte-sink';
import type { ParquetColumn, ParquetType } from '../../../infra/predictions/parquet/parquet-writer';
import { ParquetWriter, putBits } from '../../../infra/predictions/parquet/parquet-writer';
import { PREDICTION_COLUMNS } from '../../../infra/predictions/schema';
import { RECORD, type PredictionBatch } from './prediction-batch';

const DAY_MS = 86_400_000;
const { HEAD, FIRST_INPUT, ROWS, ID_BYTES, KEY_BYTES, TRACE_BYTES, NO_TEXT, SAME_AS_ID } = RECORD;
const SLASH = 47;
/** Latencies are INTEGER: at most 35 minutes. */
const MAX_INT32 = 2_147_483_647;

/** Where requests of one event day begin: in the numbers, and in the text. */
interface Records {
  readonly numbers: number[];
  readonly text: number[];
  rows: number;
}

/** By day since 1970, UTC. */
export function recordsByDay(batch: PredictionBatch): Map<number, Records> {
  const numbers = new Float64Array(batch.numbers);
  const width = FIRST_INPUT + batch.layout.inputs.length;
  const days = new Map<number, Records>();
  let at = 0;
  let textAt = 0;
  for (let request = 0; request < batch.requests; request += 1) {
    const day = Math.floor(numbers[at + RECORD.EVENT_MS]! / DAY_MS);
    let records = days.get(day);
    if (!records) days.set(day, (records = { numbers: [], text: [], rows: 0 }));
    records.numbers.push(at);
    records.text.push(textAt);
    records.rows += numbers[at + ROWS]!;
    textAt += numbers[at + ID_BYTES]! + Math.max(0, numbers[at + KEY_BYTES]!) + Math.max(0, numbers[at + TRACE_BYTES]!);
    at += HEAD + numbers[at + ROWS]! * width;
  }
  return days;
}

/** Makes Parquet of records, column by column. Its memory is kept for the next part. */
export class PartEncoder {
  private readonly writer = new ParquetWriter();
  private readonly sink = new ByteSink();
  /** Of the column at hand: the values that there are, one after the other, and which rows have one. */
  private values = new Float64Array(0);
  private validity = new Uint8Array(0);
  private present = 0;
  private numbers = new Float64Array(0);
  private text = Buffer.alloc(0);
  private records: Records = { numbers: [], text: [], rows: 0 };

  /** The file; good until the next one. */
  encode({ numbers, text, layout, labels, categories }: PredictionBatch, records: Records): Uint8Array {
    this.open(numbers, text, records);
    const { sample, paired_release: paired, ...types } = PREDICTION_COLUMNS;
    this.putTexts('request_id', (at, textAt) => [textAt, textAt + this.numbers[at + ID_BYTES]!]);
    this.putHead('event_time', types.event_time, RECORD.EVENT_MS);
    this.putHead('received_at', types.received_at, RECORD.RECEIVED_MS);
    this.putConstant('generation', types.generation, layout.generation);
    this.putHead('arm', types.arm, RECORD.ARM, labels);
    this.putHead('release', types.release, RECORD.RELEASE);
    this.putTexts('assignment_key', (at, textAt) => this.keyOf(at, textAt));
    this.putHead('status', types.status, RECORD.STATUS, labels);
    this.putCell('score', types.score, RECORD.SCORE);
    this.putHead('paired_release', paired, RECORD.PAIRED_RELEASE);
    this.putCell('paired_score', types.paired_score, RECORD.PAIRED_SCORE);
    this.putHead('latency_us', types.latency_us, RECORD.LATENCY_US);
    this.putConstant('sample', sample, layout.sample);
    this.putTexts('trace_id', (at, textAt) => this.traceOf(at, textAt));
    for (const [index, { name, type }] of layout.inputs.entries())
      this.putCell(name, type, FIRST_INPUT + index, categories[index]);
    return this.writer.finish();
  }

  private open(numbers: ArrayBuffer, text: ArrayBuffer, records: Records): void {
    this.numbers = new Float64Array(numbers);
    this.text = Buffer.from(text);
    this.records = records;
    if (this.values.length < records.rows) {
      this.values = new Float64Array(records.rows);
      this.validity = new Uint8Array(records.rows);
    }
    this.writer.start(records.rows);
  }

  /** The same for all rows of a request. */
  private putHead(name: string, type: ParquetType, field: number, texts: readonly string[] = []): void {
    this.gather(field, -1);
    this.putGathered(name, type, texts);
  }

  private putCell(name: string, type: ParquetType, index: number, texts: readonly string[] = []): void {
    this.gather(0, index);
    this.putGathered(name, type, texts);
  }

  private putConstant(name: string, type: ParquetType, value: number): void {
    this.present = this.records.rows;
    this.values.fill(value, 0, this.present);
    this.putGathered(name, type, []);
  }

  /** `column` -1: the field of the head, for each row of a request; else the column. */
  private gather(field: number, column: number): void {
    const { numbers, values, validity } = this;
    validity.fill(1, 0, this.records.rows);
    let row = 0;
    let present = 0;
    for (const at of this.records.numbers) {
      const rows = numbers[at + ROWS]!;
      const from = column < 0 ? at + field : at + HEAD + column * rows;
      const stride = column < 0 ? 0 : 1;
      for (let own = 0; own < rows; own += 1, row += 1) {
        const value = numbers[from + own * stride]!;
        // NaN is the one value that differs from itself.
        if (value !== value) validity[row] = 0;
        else {
          values[present] = value;
          present += 1;
        }
      }
    }
    this.present = present;
  }

  private putGathered(name: string, type: ParquetType, texts: readonly string[]): void {
    const { present, validity } = this;
    const values = this.values.subarray(0, present);
    const column = { name, type, present, validity };
    if (type === 'VARCHAR') return this.putCodes(column, texts, values);
    if (type === 'BOOLEAN') {
      this.sink.clear();
      putBits(this.sink, new Uint8Array(values), present);
      return this.writer.plain(column, this.sink.view());
    }
    if (present > 1 && areSame(values)) {
      const dictionary = { entries: 1, plain: plainOf(type, values.subarray(0, 1)) };
      return this.writer.coded(withRange(column, values), dictionary, new Uint32Array(present));
    }
    this.writer.plain(withRange(column, values), plainOf(type, values));
  }

  private putCodes(column: ParquetColumn, texts: readonly string[], codes: Float64Array): void {
    this.sink.clear();
    for (const text of texts) {
      const bytes = Buffer.from(text, 'utf8');
      this.sink.uint32(bytes.length);
      this.sink.put(bytes);
    }
    this.writer.coded(column, { entries: texts.length, plain: this.sink.view() }, new Uint32Array(codes));
  }

  /** Row r of a request with several has the id `<request>/<r>`. `find`: from where to where in the text, or null. */
  private putTexts(name: string, find: (at: number, textAt: number) => readonly [number, number] | null): void {
    const { sink, text, validity } = this;
    sink.clear();
    let row = 0;
    let present = 0;
    const { numbers, text: texts } = this.records;
    for (let record = 0; record < numbers.length; record += 1) {
      const rows = this.numbers[numbers[record]! + ROWS]!;
      const place = find(numbers[record]!, texts[record]!);
      if (place) present += rows;
      for (let own = 0; own < rows; own += 1, row += 1) {
        validity[row] = place ? 1 : 0;
        if (place) putText(sink, text, place, name === 'request_id' && rows > 1 ? `${own}` : null);
      }
    }
    this.writer.plain({ name, type: 'VARCHAR', present, validity }, sink.view());
  }

  private keyOf(at: number, textAt: number): readonly [number, number] | null {
    const idEnd = textAt + this.numbers[at + ID_BYTES]!;
    const bytes = this.numbers[at + KEY_BYTES]!;
    if (bytes === NO_TEXT) return null;
    return bytes === SAME_AS_ID ? [textAt, idEnd] : [idEnd, idEnd + bytes];
  }

  private traceOf(at: number, textAt: number): readonly [number, number] | null {
    const bytes = this.numbers[at + TRACE_BYTES]!;
    if (bytes === NO_TEXT) return null;
    const from = textAt + this.numbers[at + ID_BYTES]! + Math.max(0, this.numbers[at + KEY_BYTES]!);
    return [from, from + bytes];
  }
}

/** Also their signs: 0 and -0 are not. */
function areSame(values: Float64Array): boolean {
  const first = values[0];
  for (let at = 1; at < values.length; at += 1) if (!Object.is(values[at], first)) return false;
  return true;
}

function putText(sink: ByteSink, text: Buffer, [from, to]: readonly [number, number], row: string | null): void {
  sink.uint32(to - from + (row === null ? 0 : row.length + 1));
  sink.putSlice(text, from, to);
  if (row === null) return;
  sink.byte(SLASH);
  for (let at = 0; at < row.length; at += 1) sink.byte(row.charCodeAt(at));
}

/** Parts of a day are passed over by their event times. */
function withRange(column: ParquetColumn, values: Float64Array): ParquetColumn {
  if (column.type !== 'TIMESTAMP' || values.length === 0) return column;
  let low = values[0]!;
  let high = low;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return {
    ...column,
    range: [plainOf('TIMESTAMP', Float64Array.of(low)), plainOf('TIMESTAMP', Float64Array.of(high))],
  };
}

/** Little-endian, as this machine's are: slipway runs on no other. Instants are staged as epoch ms and kept as µs. */
function plainOf(type: ParquetType, values: Float64Array): Uint8Array {
  if (type === 'DOUBLE') return bytesOf(values);
  if (type === 'INTEGER') return bytesOf(integers(values));
  return bytesOf(wideIntegers(values, type === 'TIMESTAMP' ? 1_000 : 1));
}

function integers(values: Float64Array): Int32Array {
  const plain = new Int32Array(values.length);
  for (let at = 0; at < plain.length; at += 1) plain[at] = Math.min(values[at]!, MAX_INT32);
  return plain;
}

/** As two halves each, without making a BigInt of every value. */
function wideIntegers(values: Float64Array, scale: number): Int32Array {
  const halves = new Int32Array(values.length * 2);
  for (let at = 0; at < values.length; at += 1) {
    const value = values[at]! * scale;
    const high = Math.floor(value / 4_294_967_296);
    halves[at * 2] = (value - high * 4_294_967_296) | 0;
    halves[at * 2 + 1] = high;
  }
  return halves;
}

function bytesOf({ buffer, byteOffset, byteLength }: Float64Array | Int32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
