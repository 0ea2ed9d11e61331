/** Median and extremes over rounds. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** The mean of the middle two where there is no middle one. Throws for no values: nothing measured is no figure. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('no values');
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** In another unit. */
export function scaled({ median, min, max }: Spread, factor: number): Spread {
  return { median: median * factor, min: min * factor, max: max * factor };
}

/**
 * Ratios round by round, so that what slows the machine for a while slows both sides of a ratio. Throws where the rounds do
 * not match.
 */
export function ratiosOf(values: readonly number[], references: readonly number[]): Spread {
  if (values.length !== references.length)
    throw new RangeError(`${values.length} rounds against ${references.length} rounds`);
  return spreadOf(values.map((value, round) => value / references[round]!));
}

/** The value that a share `q` of the values does not pass (nearest rank). */
export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) throw new RangeError('no values');
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)]!;
}
