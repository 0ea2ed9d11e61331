/**
 * Frozen reference statistics of the rows a model was trained on: what the monitor holds traffic against. Blob; its digest is
 * in the snapshot's and the release's manifest. Ingest makes it with `profile…()` below; the monitor counts with `countLike…()`.
 */
export interface Profile {
  readonly schema: 'slipway.profile/1';
  /** Rows of the training split. */
  readonly rows: number;
  /** By feature name. */
  readonly features: Readonly<Record<string, FeatureProfile>>;
  readonly label: { readonly mean: number; readonly sd: number };
  /** Scores of the released model on the holdout, where somebody computed them. */
  readonly scores: NumericProfile | null;
}

export type FeatureProfile = NumericProfile | CategoryProfile | TimestampProfile;

/** Features of type number and integer. Missing is NaN. */
export interface NumericProfile {
  readonly kind: 'numeric';
  /**
   * Ascending and distinct. Bin i holds edges[i] <= value < edges[i + 1], the last bin its upper edge too; values outside are
   * `below` and `above`, none in the reference itself. Quantiles of `PROFILE_QUANTILES`, so that the tails have bins of their own:
   * 5 % of rows moved far out give a decile PSI of only .019.
   */
  readonly edges: readonly number[];
  /** One for each bin: edges.length - 1, or 1 where all values are equal (edges.length 1). */
  readonly counts: readonly number[];
  readonly below: number;
  readonly above: number;
  readonly missing: number;
  /** Of values that are not missing; 0 where there are none. */
  readonly mean: number;
  readonly sd: number;
  readonly min: number;
  readonly max: number;
}

/** Features of type category and boolean (`true`, `false`). Missing is null or an empty text. */
export interface CategoryProfile {
  readonly kind: 'category';
  /** The `PROFILE_CATEGORIES` most frequent values, most frequent first, ties by text. */
  readonly values: readonly string[];
  readonly counts: readonly number[];
  /** Rows with any other value. */
  readonly other: number;
  readonly missing: number;
}

/** Features of type timestamp: instants always move on, so that only the time of day can drift. */
export interface TimestampProfile {
  readonly kind: 'timestamp';
  /** 24 counts, by hour of the epoch milliseconds as they are. */
  readonly hours: readonly number[];
  readonly missing: number;
  /** Epoch ms; 0 where all are missing. */
  readonly min: number;
  readonly max: number;
}

export const PROFILE_QUANTILES = [0, 0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99, 1] as const;
export const PROFILE_CATEGORIES = 50;
const HOUR_MS = 3_600_000;
/** Taken out once: in a sandbox (workflows, tests) each look-up of a global is slow. */
const { isFinite, isNaN } = Number;
const { floor } = Math;

/** Profile of a numeric column; NaN is missing. Sorts a copy. */
export function profileNumbers(values: ArrayLike<number>): NumericProfile {
  const known = Float64Array.from(values)
    .filter((value) => isFinite(value))
    .sort();
  const edges = quantileEdges(known);
  const { mean, sd } = momentsOf(known);
  const empty: NumericProfile = {
    kind: 'numeric',
    edges,
    counts: [],
    below: 0,
    above: 0,
    missing: 0,
    mean,
    sd,
    min: known[0] ?? 0,
    max: known[known.length - 1] ?? 0,
  };
  const counted = countLikeNumbers(empty, values);
  const bins = Math.max(1, edges.length - 1);
  return {
    ...empty,
    counts: counted.slice(0, bins),
    below: counted[bins]!,
    above: counted[bins + 1]!,
    missing: counted[bins + 2]!,
  };
}

/** Profile of a category column; booleans as `true` and `false`. */
export function profileCategories(
  values: Iterable<string | null>,
  limit: number = PROFILE_CATEGORIES,
): CategoryProfile {
  const seen = new Map<string, number>();
  let missing = 0;
  for (const value of values) {
    if (value === null || value === '') missing += 1;
    else seen.set(value, (seen.get(value) ?? 0) + 1);
  }
  const ranked = [...seen].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  const kept = ranked.slice(0, limit);
  const other = ranked.slice(limit).reduce((sum, [, count]) => sum + count, 0);
  return {
    kind: 'category',
    values: kept.map(([value]) => value),
    counts: kept.map(([, count]) => count),
    other,
    missing,
  };
}

/** Profile of a timestamp column in epoch ms; NaN is missing. */
export function profileTimestamps(values: ArrayLike<number>): TimestampProfile {
  const counted = countLikeTimestamps(values);
  let min = Infinity;
  let max = -Infinity;
  for (let row = 0; row < values.length; row += 1) {
    const value = values[row]!;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  const some = min <= max;
  return {
    kind: 'timestamp',
    hours: counted.slice(0, 24),
    missing: counted[24]!,
    min: some ? min : 0,
    max: some ? max : 0,
  };
}

/** Counts of a profile in the order of `countLike…()`: bins, then out-of-range or other, then missing. */
export function referenceCounts(profile: FeatureProfile): number[] {
  switch (profile.kind) {
    case 'numeric':
      return [...profile.counts, profile.below, profile.above, profile.missing];
    case 'category':
      return [...profile.counts, profile.other, profile.missing];
    case 'timestamp':
      return [...profile.hours, profile.missing];
  }
}

/** [bins…, below, above, missing] of other values in the profile's bins. */
export function countLikeNumbers(profile: Pick<NumericProfile, 'edges'>, values: ArrayLike<number>): number[] {
  const { edges } = profile;
  const bins = Math.max(1, edges.length - 1);
  const counts = new Array<number>(bins + 3).fill(0);
  const first = edges[0] ?? Infinity;
  const last = edges[edges.length - 1] ?? Infinity;
  for (let row = 0; row < values.length; row += 1) {
    const value = values[row]!;
    if (isNaN(value)) counts[bins + 2]! += 1;
    else if (value < first) counts[bins]! += 1;
    else if (value > last) counts[bins + 1]! += 1;
    else counts[binOf(edges, value)]! += 1;
  }
  return counts;
}

/** [values…, other, missing] of other values in the profile's categories. */
export function countLikeCategories(profile: CategoryProfile, values: Iterable<string | null>): number[] {
  const positions = new Map(profile.values.map((value, position) => [value, position]));
  const size = profile.values.length;
  const counts = new Array<number>(size + 2).fill(0);
  for (const value of values) {
    if (value === null || value === '') counts[size + 1]! += 1;
    else counts[positions.get(value) ?? size]! += 1;
  }
  return counts;
}

/** [24 hours…, missing] of epoch milliseconds. */
export function countLikeTimestamps(values: ArrayLike<number>): number[] {
  const counts = new Array<number>(25).fill(0);
  for (let row = 0; row < values.length; row += 1) {
    const value = values[row]!;
    if (isFinite(value)) counts[((floor(value / HOUR_MS) % 24) + 24) % 24]! += 1;
    else counts[24]! += 1;
  }
  return counts;
}

function quantileEdges(sorted: Float64Array): number[] {
  if (sorted.length === 0) return [];
  const at = PROFILE_QUANTILES.map((quantile) => sorted[Math.round(quantile * (sorted.length - 1))]!);
  return at.filter((edge, position) => position === 0 || edge !== at[position - 1]);
}

/** Bin of a value inside [first edge, last edge], by bisection. */
function binOf(edges: readonly number[], value: number): number {
  let low = 0;
  let high = edges.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (value < edges[middle]!) high = middle;
    else low = middle;
  }
  return low;
}

function momentsOf(values: Float64Array): { mean: number; sd: number } {
  if (values.length === 0) return { mean: 0, sd: 0 };
  let sum = 0;
  for (const value of values) sum += value;
  const mean = sum / values.length;
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  return { mean, sd: Math.sqrt(squares / values.length) };
}
