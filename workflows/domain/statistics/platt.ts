import type { ScoreGroup } from './isotonic';
import { PROBABILITY_FLOOR } from './metrics';

export interface Sigmoid {
  readonly slope: number;
  readonly intercept: number;
}

/** One group on the scale that is fitted: `target` is the sum of its rows' smoothed labels. */
interface Point {
  readonly x: number;
  readonly rows: number;
  readonly target: number;
}

const MAX_ITERATIONS = 100;
/** Of the gradient, for each row. */
const TOLERANCE = 1e-10;
/** Keeps the Hessian regular where all scores are equal. */
const RIDGE = 1e-12;

/** Natural logarithm of p / (1 - p). Scores of 0 and 1 have none: they are clipped first. */
export function logOdds(score: number): number {
  const inside = Math.min(1 - PROBABILITY_FLOOR, Math.max(PROBABILITY_FLOOR, score));
  return Math.log(inside / (1 - inside));
}

/**
 * Platt's sigmoid on log odds, with his targets (N₊+1)/(N₊+2) and 1/(N₋+2) for labels 1 and 0 (Platt 1999), by Newton's method with
 * backtracking (Lin, Lin and Weng 2007). A slope below 0 would turn the order of scores around: then the best constant is given, which is the
 * best of the allowed ones, since the loss is convex.
 */
export function fitPlatt(groups: readonly ScoreGroup[]): Sigmoid {
  const points = pointsOf(groups);
  const constant = { slope: 0, intercept: logOdds(meanTarget(points)) };
  const fitted = minimise(points, constant);
  return fitted.slope >= 0 ? fitted : constant;
}

function pointsOf(groups: readonly ScoreGroup[]): Point[] {
  const positives = groups.reduce((sum, group) => sum + group.positives, 0);
  const negatives = groups.reduce((sum, group) => sum + group.rows, 0) - positives;
  const high = (positives + 1) / (positives + 2);
  const low = 1 / (negatives + 2);
  return groups.map((group) => ({
    x: logOdds(group.score),
    rows: group.rows,
    target: group.positives * high + (group.rows - group.positives) * low,
  }));
}

function meanTarget(points: readonly Point[]): number {
  return points.reduce((sum, { target }) => sum + target, 0) / points.reduce((sum, { rows }) => sum + rows, 0);
}

function minimise(points: readonly Point[], start: Sigmoid): Sigmoid {
  const rows = points.reduce((sum, point) => sum + point.rows, 0);
  let at = start;
  let loss = lossOf(points, at);
  for (let iteration = 0; iteration < MAX_ITERATIONS; iteration += 1) {
    const { step, gradient } = newtonStep(points, at);
    if (gradient < TOLERANCE * rows) return at;
    let share = 1;
    let next = moved(at, step, share);
    let nextLoss = lossOf(points, next);
    while (nextLoss >= loss && share > TOLERANCE) {
      share /= 2;
      next = moved(at, step, share);
      nextLoss = lossOf(points, next);
    }
    // As near as rounding lets it come.
    if (nextLoss >= loss) return at;
    [at, loss] = [next, nextLoss];
  }
  return at;
}

function moved(at: Sigmoid, step: Sigmoid, share: number): Sigmoid {
  return { slope: at.slope + share * step.slope, intercept: at.intercept + share * step.intercept };
}

/** Cross-entropy, in nats over all rows; log(1 + exp(z)) in the form that does not overflow. */
function lossOf(points: readonly Point[], { slope, intercept }: Sigmoid): number {
  let loss = 0;
  for (const { x, rows, target } of points) {
    const z = slope * x + intercept;
    loss += rows * (Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)))) - target * z;
  }
  return loss;
}

function newtonStep(
  points: readonly Point[],
  { slope, intercept }: Sigmoid,
): { readonly step: Sigmoid; readonly gradient: number } {
  let [ofSlope, ofIntercept] = [0, 0];
  let [xx, x1, one] = [RIDGE, 0, RIDGE];
  for (const { x, rows, target } of points) {
    const p = 1 / (1 + Math.exp(-(slope * x + intercept)));
    const miss = rows * p - target;
    const weight = rows * p * (1 - p);
    ofSlope += miss * x;
    ofIntercept += miss;
    xx += weight * x * x;
    x1 += weight * x;
    one += weight;
  }
  const determinant = xx * one - x1 * x1;
  return {
    step: {
      slope: -(one * ofSlope - x1 * ofIntercept) / determinant,
      intercept: -(xx * ofIntercept - x1 * ofSlope) / determinant,
    },
    gradient: Math.abs(ofSlope) + Math.abs(ofIntercept),
  };
}
