import { ByteSink } from './byte-sink';
import { ThriftWriter } from './thrift-writer';

/** Physical and converted types of parquet.thrift, as DuckDB writes the SQL types. */
const TYPES = {
  BOOLEAN: { physical: 0, converted: null },
  INTEGER: { physical: 1, converted: 17 },
  BIGINT: { physical: 2, converted: 18 },
  TIMESTAMP: { physical: 2, converted: 10 },
  DOUBLE: { physical: 5, converted: null },
  VARCHAR: { physical: 6, converted: 0 },
} as const;
export type ParquetType = keyof typeof TYPES;

const PLAIN = 0;
const RLE = 3;
const RLE_DICTIONARY = 8;
const DATA_PAGE = 0;
const DICTIONARY_PAGE = 2;
const OPTIONAL = 1;
const UNCOMPRESSED = 0;
const MAGIC = Buffer.from('PAR1', 'latin1');

export interface ParquetColumn {
  readonly name: string;
  readonly type: ParquetType;
  /** Rows that have a value. */
  readonly present: number;
  /** A byte for each row, 0 where it has no value; read only where `present` is less than the rows. */
  readonly validity: Uint8Array;
  /** Smallest and largest value, PLAIN; readers pass over files by them. */
  readonly range?: readonly [Uint8Array, Uint8Array];
}

/** Distinct values, PLAIN, and how many. */
interface ParquetDictionary {
  readonly entries: number;
  readonly plain: Uint8Array;
}

interface WrittenColumn {
  readonly column: ParquetColumn;
  readonly dictionaryAt: number | null;
  readonly dataAt: number;
  readonly bytes: number;
}

/**
 * A Parquet file of flat optional columns: one row group, a page for each column, not compressed. The prediction log writes with it and
 * not with DuckDB, whose encoders cost several times more CPU than scoring a small model. Source: apache/parquet-format (Encodings.md,
 * parquet.thrift).
 */
export class ParquetWriter {
  private readonly file = new ByteSink();
  private readonly page = new ByteSink();
  private readonly thrift = new ThriftWriter(this.file);
  private columns: WrittenColumn[] = [];
  private rows = 0;

  start(rows: number): void {
    this.file.clear();
    this.columns = [];
    this.rows = rows;
    this.file.put(MAGIC);
  }

  /** Values in PLAIN encoding, of the rows that have one. */
  plain(column: ParquetColumn, values: Uint8Array): void {
    const dataAt = this.file.length;
    this.startPage(column);
    this.page.put(values);
    this.endDataPage(PLAIN);
    this.columns.push({ column, dictionaryAt: null, dataAt, bytes: this.file.length - dataAt });
  }

  /** The first `present` codes are places in the dictionary. */
  coded(column: ParquetColumn, dictionary: ParquetDictionary, codes: Uint32Array): void {
    if (column.present === 0) return this.plain(column, new Uint8Array(0));
    const dictionaryAt = this.file.length;
    this.putDictionary(dictionary);
    const dataAt = this.file.length;
    this.startPage(column);
    putCodes(this.page, codes.subarray(0, column.present), dictionary.entries);
    this.endDataPage(RLE_DICTIONARY);
    this.columns.push({ column, dictionaryAt, dataAt, bytes: this.file.length - dictionaryAt });
  }

  /** The file; good until the next one is started. */
  finish(): Uint8Array {
    const footerAt = this.file.length;
    const { thrift } = this;
    thrift.body(() => {
      thrift.i32(1, 1);
      this.putSchema();
      thrift.i64(3, this.rows);
      thrift.structList(4, [this.columns], (columns) => this.putRowGroup(columns, footerAt));
      thrift.text(6, 'slipway');
      // The order of the types, by which the ranges are to be read.
      thrift.structList(7, this.columns, () => thrift.struct(1, () => undefined));
    });
    this.file.uint32(this.file.length - footerAt);
    this.file.put(MAGIC);
    return this.file.view();
  }

  private putDictionary({ entries, plain }: ParquetDictionary): void {
    const { thrift } = this;
    thrift.body(() => {
      thrift.i32(1, DICTIONARY_PAGE).i32(2, plain.length).i32(3, plain.length);
      thrift.struct(7, () => thrift.i32(1, entries).i32(2, PLAIN));
    });
    this.file.put(plain);
  }

  private startPage({ present, validity }: ParquetColumn): void {
    this.page.clear();
    this.page.uint32(0);
    if (present === this.rows || present === 0) {
      this.page.varint(this.rows * 2);
      this.page.byte(present === 0 ? 0 : 1);
    } else {
      this.page.varint(Math.ceil(this.rows / 8) * 2 + 1);
      putBits(this.page, validity, this.rows);
    }
    this.page.patchUint32(this.page.length - 4, 0);
  }

  private endDataPage(encoding: number): void {
    const { thrift } = this;
    const body = this.page.view();
    thrift.body(() => {
      thrift.i32(1, DATA_PAGE).i32(2, body.length).i32(3, body.length);
      thrift.struct(5, () => thrift.i32(1, this.rows).i32(2, encoding).i32(3, RLE).i32(4, RLE));
    });
    this.file.put(body);
  }

  private putSchema(): void {
    const { thrift } = this;
    thrift.structList(2, [null, ...this.columns], (written) => {
      if (written === null) return void thrift.text(4, 'schema').i32(5, this.columns.length);
      const { name, type } = written.column;
      const { physical, converted } = TYPES[type];
      thrift.i32(1, physical).i32(3, OPTIONAL).text(4, name);
      if (converted !== null) thrift.i32(6, converted);
      if (type === 'TIMESTAMP') this.putLocalMicros();
    });
  }

  /** Without it, the converted type would mean an instant with a time zone. */
  private putLocalMicros(): void {
    const { thrift } = this;
    const micros = (): void => void thrift.struct(2, () => undefined);
    thrift.struct(10, () => thrift.struct(8, () => thrift.isFalse(1).struct(2, micros)));
  }

  private putRowGroup(columns: readonly WrittenColumn[], footerAt: number): void {
    this.thrift
      .structList(1, columns, (written) => this.putChunk(written))
      .i64(2, footerAt - MAGIC.length)
      .i64(3, this.rows);
  }

  private putChunk({ column, dictionaryAt, dataAt, bytes }: WrittenColumn): void {
    const { thrift } = this;
    thrift.i64(2, 0).struct(3, () => {
      thrift.i32(1, TYPES[column.type].physical);
      thrift.i32List(2, dictionaryAt === null ? [PLAIN, RLE] : [PLAIN, RLE, RLE_DICTIONARY]);
      thrift
        .textList(3, [column.name])
        .i32(4, UNCOMPRESSED)
        .i64(5, this.rows)
        .i64(6, bytes)
        .i64(7, bytes)
        .i64(9, dataAt);
      if (dictionaryAt !== null) thrift.i64(11, dictionaryAt);
      thrift.struct(12, () => this.putStatistics(column));
    });
  }

  private putStatistics({ present, range }: ParquetColumn): void {
    this.thrift.i64(3, this.rows - present);
    if (range) this.thrift.bytes(5, range[1]).bytes(6, range[0]);
  }
}

/** Least significant bit first; a byte of `flags` for each bit. */
export function putBits(sink: ByteSink, flags: Uint8Array, count: number): void {
  for (let at = 0; at < count; at += 8) {
    let bits = 0;
    for (let bit = 0; bit < 8 && at + bit < count; bit += 1) bits |= (flags[at + bit]! & 1) << bit;
    sink.byte(bits);
  }
}

/** One run where all are the same; otherwise whole bytes, which are a packing of 8, 16 or 32 bits. */
function putCodes(sink: ByteSink, codes: Uint32Array, entries: number): void {
  const bytesEach = entries <= 256 ? 1 : entries <= 65_536 ? 2 : 4;
  sink.byte(bytesEach * 8);
  if (codes.every((code) => code === codes[0])) {
    sink.varint(codes.length * 2);
    for (let shift = 0; shift < bytesEach * 8; shift += 8) sink.byte((codes[0]! >>> shift) & 255);
    return;
  }
  const groups = Math.ceil(codes.length / 8);
  sink.varint(groups * 2 + 1);
  const packed = bytesEach === 1 ? new Uint8Array(codes) : bytesEach === 2 ? new Uint16Array(codes) : codes;
  sink.put(new Uint8Array(packed.buffer, packed.byteOffset, packed.byteLength));
  sink.zeros((groups * 8 - codes.length) * bytesEach);
}
