/** 64-bit hash of an assignment key as two unsigned 32-bit words, reused from call to call to spare the garbage collector. */
export const hashed = { high: 0, low: 0 };

/**
 * Two multiplicative lanes with a final avalanche (after cyrb53 by bryc, public domain). Not keyed: callers choose their
 * keys anyway. With a million keys two share a hash with a probability of 3 in 100 million.
 */
export function hashKey(text: string): void {
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    a = Math.imul(a ^ code, 2_654_435_761);
    b = Math.imul(b ^ code, 1_597_334_677);
  }
  a = Math.imul(a ^ (a >>> 16), 2_246_822_507) ^ Math.imul(b ^ (b >>> 13), 3_266_489_909);
  b = Math.imul(b ^ (b >>> 16), 2_246_822_507) ^ Math.imul(a ^ (a >>> 13), 3_266_489_909);
  hashed.high = b >>> 0;
  hashed.low = a >>> 0;
}

/** Distinct keys are counted exactly up to so many per arm and rollout; later new keys are not counted as keys any more. */
export const MAX_KEYS = 1_000_000;

/** Exact set of 64-bit hashes: open addressing in one typed array, 16 bytes a key at most, no object per key. */
export class KeySet {
  private slots = new Uint32Array(2_048);
  private hasZero = false;
  size = 0;

  constructor(private readonly capacity = MAX_KEYS) {}

  /** True when the key is new and was counted; false when it is known, or the set is full. */
  add(high: number, low: number): boolean {
    if (high === 0 && low === 0) return this.addZero();
    const at = this.find(high, low);
    if (this.slots[at] !== 0 || this.slots[at + 1] !== 0) return false;
    if (this.size >= this.capacity) return false;
    this.slots[at] = high;
    this.slots[at + 1] = low;
    this.size += 1;
    if (this.size * 4 > this.slots.length) this.grow();
    return true;
  }

  get isFull(): boolean {
    return this.size >= this.capacity;
  }

  /** Pairs of words of all keys. */
  *entries(): Generator<readonly [number, number]> {
    if (this.hasZero) yield [0, 0];
    for (let at = 0; at < this.slots.length; at += 2) {
      if (this.slots[at] !== 0 || this.slots[at + 1] !== 0) yield [this.slots[at]!, this.slots[at + 1]!];
    }
  }

  private addZero(): boolean {
    const isNew = !this.hasZero && this.size < this.capacity;
    if (isNew) this.size += 1;
    this.hasZero ||= isNew;
    return isNew;
  }

  /** Index of the key's slot, or of the empty one where it belongs. */
  private find(high: number, low: number): number {
    const mask = this.slots.length / 2 - 1;
    let slot = (low ^ Math.imul(high, 0x9e3779b1)) & mask;
    for (;;) {
      const at = slot * 2;
      if ((this.slots[at] === high && this.slots[at + 1] === low) || (this.slots[at] === 0 && this.slots[at + 1] === 0))
        return at;
      slot = (slot + 1) & mask;
    }
  }

  private grow(): void {
    const old = this.slots;
    this.slots = new Uint32Array(old.length * 2);
    for (let from = 0; from < old.length; from += 2) {
      if (old[from] === 0 && old[from + 1] === 0) continue;
      const at = this.find(old[from]!, old[from + 1]!);
      this.slots[at] = old[from]!;
      this.slots[at + 1] = old[from + 1]!;
    }
  }
}
