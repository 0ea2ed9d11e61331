import type { ByteSink } from './byte-sink';

/** Wire types of Thrift's compact protocol. */
const FALSE = 2;
const I32 = 5;
const I64 = 6;
const BINARY = 8;
const LIST = 9;
const STRUCT = 12;

/**
 * The part of Thrift's compact protocol that Parquet's headers need: integers that are not negative, bytes, lists and structs. Fields
 * are written in ascending order. Source: thrift-compact-protocol.md of Apache Thrift.
 */
export class ThriftWriter {
  private lastField = 0;
  private readonly outer: number[] = [];

  constructor(private readonly sink: ByteSink) {}

  i32(field: number, value: number): this {
    return this.header(field, I32).zigzag(value);
  }

  i64(field: number, value: number): this {
    return this.header(field, I64).zigzag(value);
  }

  isFalse(field: number): this {
    return this.header(field, FALSE);
  }

  bytes(field: number, value: Uint8Array): this {
    return this.header(field, BINARY).binary(value);
  }

  text(field: number, value: string): this {
    return this.bytes(field, Buffer.from(value, 'utf8'));
  }

  i32List(field: number, values: readonly number[]): this {
    this.header(field, LIST).listHeader(I32, values.length);
    for (const value of values) this.zigzag(value);
    return this;
  }

  textList(field: number, values: readonly string[]): this {
    this.header(field, LIST).listHeader(BINARY, values.length);
    for (const value of values) this.binary(Buffer.from(value, 'utf8'));
    return this;
  }

  structList<T>(field: number, values: readonly T[], write: (value: T) => void): this {
    this.header(field, LIST).listHeader(STRUCT, values.length);
    for (const value of values) this.body(() => write(value));
    return this;
  }

  struct(field: number, write: () => void): this {
    return this.header(field, STRUCT).body(write);
  }

  /** A struct that no field holds: a header, or an element of a list. */
  body(write: () => void): this {
    this.outer.push(this.lastField);
    this.lastField = 0;
    write();
    this.sink.byte(0);
    this.lastField = this.outer.pop()!;
    return this;
  }

  private header(field: number, type: number): this {
    this.sink.byte(((field - this.lastField) << 4) | type);
    this.lastField = field;
    return this;
  }

  private zigzag(value: number): this {
    this.sink.varint(value * 2);
    return this;
  }

  private binary(value: Uint8Array): this {
    this.sink.varint(value.length);
    this.sink.put(value);
    return this;
  }

  private listHeader(type: number, count: number): void {
    this.sink.byte((Math.min(count, 15) << 4) | type);
    if (count >= 15) this.sink.varint(count);
  }
}
