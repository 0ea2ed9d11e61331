/** Taken out once: in a sandbox (workflows, tests) each look-up of a global is slow. */
const { imul, sqrt, log, cos } = Math;

/** Uniform numbers in [0, 1). */
export type RandomSource = () => number;

/** Reproducible random source: mulberry32 (Ettinger, public domain), 2^32 states, enough for resampling and simulation. */
export function seededRandom(seed: number): RandomSource {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** Standard normal number (Box and Muller, 1958). */
export function normalFrom(random: RandomSource): number {
  return sqrt(-2 * log(1 - random())) * cos(2 * Math.PI * random());
}
