import { WIRE } from './wire-reader';

const FIRST_BYTES = 256;

/** Writes protobuf's wire format; see wire-reader.ts. Values that are proto3's defaults are left out by whoever calls. */
export class WireWriter {
  private bytes: Buffer;
  private at = 0;

  constructor(firstBytes = FIRST_BYTES) {
    this.bytes = Buffer.allocUnsafe(firstBytes);
  }

  /** What was written, not copied; the writer is of no more use. */
  finish(): Buffer {
    return this.bytes.subarray(0, this.at);
  }

  string(field: number, text: string): this {
    const length = Buffer.byteLength(text);
    this.head(field, length);
    this.bytes.write(text, this.at, length);
    this.at += length;
    return this;
  }

  /** A field of bytes, or a message that is written already. */
  raw(field: number, bytes: Uint8Array): this {
    return this.head(field, bytes.length).append(bytes);
  }

  bool(field: number, value: boolean): this {
    return this.int64(field, value ? 1 : 0);
  }

  /** A whole number; a negative one takes ten bytes. */
  int64(field: number, value: number): this {
    this.room(20);
    this.varint(field * 8 + WIRE.varint);
    this.varint(value);
    return this;
  }

  /** A repeated whole number, packed. */
  int64s(field: number, values: readonly number[]): this {
    const inner = new WireWriter();
    for (const value of values) {
      inner.room(10);
      inner.varint(value);
    }
    return this.raw(field, inner.finish());
  }

  /** Begins a field of bytes whose content is written next: `append` and others, `length` bytes in all. */
  head(field: number, length: number): this {
    this.room(20 + length);
    this.varint(field * 8 + WIRE.bytes);
    this.varint(length);
    return this;
  }

  append(bytes: Uint8Array): this {
    this.room(bytes.length);
    this.bytes.set(bytes, this.at);
    this.at += bytes.length;
    return this;
  }

  /** A whole number without a field; a negative one takes ten bytes. There must be room: see `head`. */
  varint(value: number): this {
    if (value < 0) return this.negative(value);
    let rest = value;
    while (rest >= 128) {
      this.bytes[this.at++] = (rest % 128) + 128;
      rest = Math.floor(rest / 128);
    }
    this.bytes[this.at++] = rest;
    return this;
  }

  private negative(value: number): this {
    let rest = BigInt.asUintN(64, BigInt(value));
    while (rest >= 128n) {
      this.bytes[this.at++] = Number(rest & 127n) + 128;
      rest >>= 7n;
    }
    this.bytes[this.at++] = Number(rest);
    return this;
  }

  private room(length: number): void {
    if (this.at + length <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.at + length));
    this.bytes.copy(larger, 0, 0, this.at);
    this.bytes = larger;
  }
}

/** Bytes that a whole number takes. */
export function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size += 1;
  return size;
}
