/** Buffers kept for the next batch: enough for those in flight at a steady load. */
const MAX_BUFFERS = 8;
/** What a burst made larger is left to the garbage collector. */
const MAX_BYTES = 4_194_304;

/** Memory that goes to a thread and comes back, so that a steady load allocates none. */
export class BufferPool {
  /** From small to large. */
  private free: ArrayBuffer[] = [];

  /** At least so large; what is in it is what was in it. */
  take(bytes: number): ArrayBuffer {
    const at = this.free.findIndex((buffer) => buffer.byteLength >= bytes);
    return at < 0 ? new ArrayBuffer(bytes) : this.free.splice(at, 1)[0]!;
  }

  give(buffer: ArrayBuffer): void {
    if (buffer.byteLength > MAX_BYTES) return;
    const larger = this.free.findIndex(({ byteLength }) => byteLength > buffer.byteLength);
    this.free.splice(larger < 0 ? this.free.length : larger, 0, buffer);
    if (this.free.length > MAX_BUFFERS) this.free.shift();
  }
}
