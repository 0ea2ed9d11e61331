const FIRST_BYTES = 65_536;

/** Bytes written one after the other. It grows, and keeps its memory for the next file. */
export class ByteSink {
  private bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
  length = 0;

  clear(): void {
    this.length = 0;
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  uint32(value: number): void {
    this.reserve(4);
    this.length = this.bytes.writeUInt32LE(value, this.length);
  }

  /** Overwrites four bytes that are there. */
  patchUint32(value: number, at: number): void {
    this.bytes.writeUInt32LE(value, at);
  }

  /** Unsigned LEB128 of a safe integer. */
  varint(value: number): void {
    let rest = value;
    while (rest > 127) {
      this.byte((rest % 128) + 128);
      rest = Math.floor(rest / 128);
    }
    this.byte(rest);
  }

  put(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** A part of `bytes`, without a view of its own: it is called for each row. */
  putSlice(bytes: Buffer, from: number, to: number): void {
    this.reserve(to - from);
    if (to - from > 64) bytes.copy(this.bytes, this.length, from, to);
    else for (let at = from, end = this.length; at < to; at += 1, end += 1) this.bytes[end] = bytes[at]!;
    this.length += to - from;
  }

  zeros(count: number): void {
    this.reserve(count);
    this.bytes.fill(0, this.length, this.length + count);
    this.length += count;
  }

  /** What was written; good until the next write. */
  view(): Buffer {
    return this.bytes.subarray(0, this.length);
  }

  private reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, this.length + count));
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }
}
