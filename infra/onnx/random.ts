import { seededRandom } from '../../workflows/domain/statistics/random';
import type { RandomSource } from '../../workflows/domain/statistics/random';

export type { RandomSource };

/**
 * A stream for one purpose of one run, such as the shuffle of epoch 3: what a purpose draws does not depend on what others drew
 * before, so that a resumed run needs no generator state. Words are mixed by FNV-1a (Fowler, Noll, Vo).
 */
export function streamOf(...words: readonly number[]): RandomSource {
  const bytes = new Uint8Array(Float64Array.from(words).buffer);
  return seededRandom(bytes.reduce((hash, byte) => Math.imul(hash ^ byte, 0x0100_0193), 0x811c_9dc5 | 0));
}

/** The first `take` numbers of a random permutation of 0 … length - 1 (Fisher and Yates). */
export function shuffled(length: number, take: number, random: RandomSource): Int32Array {
  const order = Int32Array.from({ length }, (_, index) => index);
  for (let index = 0; index < take; index += 1) {
    const other = index + Math.floor(random() * (length - index));
    const swapped = order[index]!;
    order[index] = order[other]!;
    order[other] = swapped;
  }
  return order.subarray(0, take);
}
