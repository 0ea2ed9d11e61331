/** Powers of two by the five exponent bits of an IEEE 754 half. */
const POWERS = Float32Array.from({ length: 32 }, (_, exponent) => 2 ** (exponent - 15));
const SMALLEST = 2 ** -24;

/** Halves as 32-bit floats, which hold every half exactly (IEEE 754-2019, binary16). */
export function floatsOfHalves(halves: Uint16Array): Float32Array {
  const floats = new Float32Array(halves.length);
  for (let at = 0; at < halves.length; at += 1) {
    const bits = halves[at]!;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    const size =
      exponent === 0
        ? fraction * SMALLEST
        : exponent === 31
          ? fraction === 0
            ? Infinity
            : NaN
          : POWERS[exponent]! * (1 + fraction / 1_024);
    floats[at] = bits & 0x8000 ? -size : size;
  }
  return floats;
}

/** The nearest half of each float, ties to even; beyond 65,504 (rounded) infinite. */
export function halvesOfFloats(floats: Float32Array): Uint16Array {
  const bits = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
  return Uint16Array.from(bits, (word, at) => {
    const sign = (word >>> 16) & 0x8000;
    const exponent = ((word >>> 23) & 0xff) - 112;
    const fraction = word & 0x7fffff;
    if (exponent >= 31 + 112) return sign | 0x7c00 | (fraction === 0 ? 0 : 0x200);
    // A subnormal half is a whole number of its smallest step.
    if (exponent <= 0) return sign | nearestEven(Math.abs(floats[at]!) / SMALLEST);
    const half = (exponent << 10) + nearestEven(fraction / 8_192);
    return sign | Math.min(half, 0x7c00);
  });
}

function nearestEven(value: number): number {
  const floor = Math.floor(value);
  const over = value - floor;
  return over > 0.5 || (over === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

/** bfloat16 is the upper half of a 32-bit float. */
export function floatsOfBrainFloats(words: Uint16Array): Float32Array {
  const bits = new Uint32Array(words.length);
  for (let at = 0; at < words.length; at += 1) bits[at] = words[at]! << 16;
  return new Float32Array(bits.buffer);
}

/** The nearest bfloat16 of each float, ties to even. */
export function brainFloatsOfFloats(floats: Float32Array): Uint16Array {
  const bits = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
  return Uint16Array.from(bits, (word) => {
    const isNotANumber = (word & 0x7fffffff) > 0x7f800000;
    return isNotANumber ? 0x7fc0 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  });
}
