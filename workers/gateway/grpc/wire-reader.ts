import { isUtf8 } from 'node:buffer';
import type { SlipwayError } from '../../../workflows/domain/errors';
import { invalid } from '../inference/protocol';

/** Wire types of protobuf (protobuf.dev/programming-guides/encoding). Groups are not used by proto3. */
export const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

const TWO_32 = 4_294_967_296;
const SMALLEST = -(2 ** 63);

/**
 * Reads protobuf's wire format from bytes of a stranger. Throws REQUEST_INVALID at the first that is not well formed and never reads past
 * its end. Numbers of 64 bits come as doubles: exact to 2^53, rounded above, where no caller of the gateway takes them.
 */
export class WireReader {
  /** Of the field that `next` came to. */
  field = 0;
  wire = 0;
  private high = 0;

  constructor(
    private readonly bytes: Buffer,
    private at = 0,
    private end = bytes.length,
    /** Over the same bytes; readers of the messages inside share it. */
    private readonly view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
  ) {}

  /** Bytes that are not read yet. */
  get length(): number {
    return this.end - this.at;
  }

  /** Goes to the next field; false at the end. Its value must be read or skipped before the next call. */
  next(): boolean {
    if (this.at >= this.end) return false;
    const tag = this.varint();
    this.field = tag >>> 3;
    this.wire = tag & 7;
    if (this.field === 0) throw malformed('a field has the number 0');
    return true;
  }

  skip(): void {
    switch (this.wire) {
      case WIRE.varint:
        this.varint();
        return;
      case WIRE.fixed64:
        this.advance(8);
        return;
      case WIRE.bytes:
        this.advance(this.varint());
        return;
      case WIRE.fixed32:
        this.advance(4);
        return;
      default:
        throw malformed(`a field has the wire type ${this.wire}`);
    }
  }

  /** A reader of the message, or of the bytes, in this field. */
  message(): WireReader {
    this.expect(WIRE.bytes);
    const length = this.varint();
    const from = this.advance(length);
    return new WireReader(this.bytes, from, from + length, this.view);
  }

  string(): string {
    this.expect(WIRE.bytes);
    const length = this.varint();
    const from = this.advance(length);
    return readText(this.bytes, from, from + length);
  }

  bool(): boolean {
    this.expect(WIRE.varint);
    return (this.varint() | this.high) !== 0;
  }

  int64(): number {
    this.expect(WIRE.varint);
    return this.signed();
  }

  uint64(): number {
    this.expect(WIRE.varint);
    return this.unsigned();
  }

  double(): number {
    this.expect(WIRE.fixed64);
    return this.view.getFloat64(this.advance(8), true);
  }

  /** Appends the values of a repeated number, packed or not; proto3 readers must take both. */
  numbers(kind: NumberKind, into: number[]): void {
    if (this.wire !== WIRE.bytes) {
      this.expect(WIRE_OF[kind]);
      into.push(this.number(kind));
      return;
    }
    const length = this.varint();
    const stop = this.advance(length) + length;
    const { end } = this;
    this.at = stop - length;
    this.end = stop;
    while (this.at < stop) into.push(this.number(kind));
    this.end = end;
  }

  /** A 32-bit float without a field of its own. */
  float(): number {
    return this.view.getFloat32(this.advance(4), true);
  }

  /** What is not read yet, not copied. */
  rest(): Buffer {
    return this.bytes.subarray(this.at, this.end);
  }

  private number(kind: NumberKind): number {
    switch (kind) {
      case 'float':
        return this.float();
      case 'double':
        return this.view.getFloat64(this.advance(8), true);
      case 'int64':
        return this.signed();
      case 'uint64':
        return this.unsigned();
      case 'int32':
        return this.varint() | 0;
      case 'uint32':
        return this.varint();
    }
  }

  private expect(wire: number): void {
    if (this.wire !== wire) throw malformed(`field ${this.field} has the wire type ${this.wire}; ${wire} was expected`);
  }

  private advance(length: number): number {
    const from = this.at;
    if (length > this.end - from) throw malformed('a field ends after its message');
    this.at = from + length;
    return from;
  }

  /** The low 32 bits, unsigned; the rest is left in `high`. */
  private varint(): number {
    const first = this.byte();
    this.high = 0;
    return first < 128 ? first : this.longVarint(first & 127);
  }

  private longVarint(first: number): number {
    let low = first;
    for (let shift = 7; shift < 28; shift += 7) {
      const byte = this.byte();
      low |= (byte & 127) << shift;
      if (byte < 128) return low;
    }
    const middle = this.byte();
    low = (low | (middle << 28)) >>> 0;
    this.high = (middle & 127) >> 4;
    if (middle < 128) return low;
    for (let shift = 3; shift < 32; shift += 7) {
      const byte = this.byte();
      this.high |= (byte & 127) << shift;
      if (byte < 128) return low;
    }
    throw malformed('a number has more than 10 bytes');
  }

  private unsigned(): number {
    const low = this.varint();
    return (this.high >>> 0) * TWO_32 + low;
  }

  private signed(): number {
    const low = this.varint();
    const value = (this.high | 0) * TWO_32 + low;
    // The smallest INT64 means missing: no other number may be rounded to it.
    return value === SMALLEST && low !== 0 ? SMALLEST / 2 : value;
  }

  private byte(): number {
    if (this.at >= this.end) throw malformed('a number ends after its message');
    return this.bytes[this.at++]!;
  }
}

export type NumberKind = 'float' | 'double' | 'int64' | 'uint64' | 'int32' | 'uint32';

const WIRE_OF: Readonly<Record<NumberKind, number>> = {
  float: WIRE.fixed32,
  double: WIRE.fixed64,
  int64: WIRE.varint,
  uint64: WIRE.varint,
  int32: WIRE.varint,
  uint32: WIRE.varint,
};

const SHORT_TEXT = 24;

/** Short ASCII, as names and datatypes are, costs no call into C++. */
function readText(bytes: Buffer, from: number, to: number): string {
  if (to - from > SHORT_TEXT) return readUtf8(bytes, from, to);
  let text = '';
  for (let at = from; at < to; at += 1) {
    const byte = bytes[at]!;
    if (byte > 127) return readUtf8(bytes, from, to);
    text += String.fromCharCode(byte);
  }
  return text;
}

/** Bytes that are no UTF-8 read as U+FFFD: two different values must not become one. */
function readUtf8(bytes: Buffer, from: number, to: number): string {
  const text = bytes.toString('utf8', from, to);
  if (text.includes('\ufffd') && !isUtf8(bytes.subarray(from, to))) throw malformed('a string is no UTF-8');
  return text;
}

function malformed(problem: string): SlipwayError {
  return invalid(`the message is no protobuf of its type: ${problem}`);
}
