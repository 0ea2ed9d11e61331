import type { RandomSource } from '../../../workflows/domain/statistics/random';

/** One row of feature values, in the order of the signature's inputs. */
export type Row = readonly (number | string)[];

/** Values of the explained function for rows, one each. */
export type Evaluate = (rows: readonly Row[]) => Promise<Float64Array>;

/**
 * How the value of one row differs from the background's mean, split over the features:
 * sum of `contributions` = value - `base`, in the unit of the explained function.
 */
export interface Attribution {
  readonly value: number;
  readonly base: number;
  /** One a feature. */
  readonly contributions: Float64Array;
  /** Standard error of each contribution; 0 where it is exact for the background. */
  readonly errors: Float64Array;
  readonly method: 'additive' | 'exact' | 'sampled';
}

/** Rows that stand for ordinary traffic, with their values and those values' mean. Never empty. */
export interface Background {
  readonly rows: readonly Row[];
  readonly values: Float64Array;
  readonly mean: number;
}

/** What of a function is known beforehand: for additive ones, the mean effect of each feature over the background, from its first row. */
export interface AdditiveParts {
  readonly anchor: Row;
  readonly anchorValue: number;
  readonly meanEffects: Float64Array;
}

export async function backgroundOf(rows: readonly Row[], evaluate: Evaluate): Promise<Background> {
  const values = await evaluate(rows);
  return { rows, values, mean: meanOf(values) };
}

/**
 * Prepares exact attributions of a function that is a sum of functions of one feature each, and finds out whether it is one:
 * null where a background row's value is not the sum of its features' effects.
 */
export async function additivePartsOf(background: Background, evaluate: Evaluate): Promise<AdditiveParts | null> {
  const anchor = background.rows[0]!;
  const anchorValue = background.values[0]!;
  const features = anchor.length;
  const effects = await evaluate(background.rows.flatMap((row) => singleChanges(anchor, row)));
  const meanEffects = new Float64Array(features);
  for (let at = 0; at < background.rows.length; at += 1) {
    let sum = anchorValue;
    for (let feature = 0; feature < features; feature += 1) {
      const effect = effects[at * features + feature]! - anchorValue;
      sum += effect;
      meanEffects[feature]! += effect / background.rows.length;
    }
    if (Math.abs(sum - background.values[at]!) > ADDITIVE_TOLERANCE * Math.max(1, Math.abs(sum))) return null;
  }
  return { anchor, anchorValue, meanEffects };
}

/** Scores are 32-bit floats; their log-odds keep four digits. */
const ADDITIVE_TOLERANCE = 1e-3;

/** Exact for an additive function: as many evaluations as there are features. */
export async function attributeAdditive(
  row: Row,
  value: number,
  background: Background,
  parts: AdditiveParts,
  evaluate: Evaluate,
): Promise<Attribution> {
  const changed = await evaluate(singleChanges(parts.anchor, row));
  const contributions = changed.map((own, feature) => own - parts.anchorValue - parts.meanEffects[feature]!);
  return { value, base: background.mean, contributions, errors: new Float64Array(row.length), method: 'additive' };
}

function singleChanges(anchor: Row, row: Row): Row[] {
  return row.map((value, feature) => anchor.with(feature, value));
}

/** Whether all coalitions can be evaluated within the budget. */
export function isEnumerable(features: number, background: Background, evaluations: number): boolean {
  return features < 16 && 2 ** features * background.rows.length <= evaluations;
}

/** Shapley values (Shapley 1953) over all coalitions, exact for the background: 2^features times background rows evaluations. */
export async function attributeExactly(
  row: Row,
  value: number,
  background: Background,
  evaluate: Evaluate,
): Promise<Attribution> {
  const features = row.length;
  const coalitions = 2 ** features;
  const rows = Array.from({ length: coalitions }, (_, coalition) =>
    background.rows.map((other) => row.map((own, feature) => ((coalition >> feature) & 1 ? own : other[feature]!))),
  );
  const values = await evaluate(rows.flat());
  const count = background.rows.length;
  const worth = Float64Array.from({ length: coalitions }, (_, coalition) =>
    meanOf(values.subarray(coalition * count, (coalition + 1) * count)),
  );
  const weights = coalitionWeights(features);
  const contributions = new Float64Array(features);
  for (let coalition = 0; coalition < coalitions; coalition += 1) {
    for (let feature = 0; feature < features; feature += 1) {
      if ((coalition >> feature) & 1) continue;
      const gain = worth[coalition | (1 << feature)]! - worth[coalition]!;
      contributions[feature]! += weights[bitsOf(coalition)]! * gain;
    }
  }
  return { value, base: background.mean, contributions, errors: new Float64Array(features), method: 'exact' };
}

/** |S|! (n - |S| - 1)! / n! by the size of S. */
function coalitionWeights(features: number): Float64Array {
  const weights = new Float64Array(features);
  let binomial = 1;
  for (let size = 0; size < features; size += 1) {
    weights[size] = 1 / (features * binomial);
    binomial = (binomial * (features - 1 - size)) / (size + 1);
  }
  return weights;
}

function bitsOf(coalition: number): number {
  let bits = 0;
  for (let rest = coalition; rest !== 0; rest >>= 1) bits += rest & 1;
  return bits;
}

/**
 * Shapley values by walks from a background row to the explained one, feature by feature in random order (Castro, Gomez and Tejada
 * 2009), each order also backwards (antithetic; Mitchell et al. 2022), background rows in turn. The errors are of the mean over such pairs.
 * At most `evaluations` evaluations, but at least two pairs of walks.
 */
export async function attributeBySampling(
  row: Row,
  value: number,
  background: Background,
  { evaluations, random, evaluate }: { evaluations: number; random: RandomSource; evaluate: Evaluate },
): Promise<Attribution> {
  const features = row.length;
  const perPair = 2 * Math.max(1, features - 1);
  const pairs = Math.max(2, Math.floor(evaluations / perPair));
  const walks = Array.from({ length: pairs }, (_, pair) => {
    const order = shuffled(features, random);
    const start = pair % background.rows.length;
    return [order, order.toReversed()].map((own) => ({ order: own, start }));
  }).flat();
  const values = await evaluate(walks.flatMap(({ order, start }) => between(background.rows[start]!, row, order)));
  const sums = new Float64Array(features);
  const squares = new Float64Array(features);
  const ofPair = new Float64Array(features);
  walks.forEach(({ order, start }, at) => {
    let before = background.values[start]!;
    order.forEach((feature, step) => {
      const after = step === features - 1 ? value : values[at * (features - 1) + step]!;
      ofPair[feature]! += (after - before) / 2;
      before = after;
    });
    if (at % 2 === 0) return;
    for (let feature = 0; feature < features; feature += 1) {
      sums[feature]! += ofPair[feature]!;
      squares[feature]! += ofPair[feature]! ** 2;
    }
    ofPair.fill(0);
  });
  const errors = squares.map((square, feature) => standardError(sums[feature]!, square, pairs));
  const base = meanOf(
    Float64Array.from({ length: pairs }, (_, pair) => background.values[pair % background.rows.length]!),
  );
  return { value, base, contributions: sums.map((sum) => sum / pairs), errors, method: 'sampled' };
}

/** The rows on the way from one row to another, both left out. */
function between(from: Row, to: Row, order: readonly number[]): Row[] {
  const current = [...from];
  return order.slice(0, -1).map((feature) => {
    current[feature] = to[feature]!;
    return [...current];
  });
}

/** Fisher and Yates. */
function shuffled(length: number, random: RandomSource): number[] {
  const order = Array.from({ length }, (_, index) => index);
  for (let at = length - 1; at > 0; at -= 1) {
    const other = Math.floor(random() * (at + 1));
    [order[at], order[other]] = [order[other]!, order[at]!];
  }
  return order;
}

function standardError(sum: number, squares: number, count: number): number {
  const variance = Math.max(0, squares - (sum * sum) / count) / (count - 1);
  return Math.sqrt(variance / count);
}

function meanOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
