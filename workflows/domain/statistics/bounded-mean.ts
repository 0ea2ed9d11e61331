import { logMeanExp } from './e-values';

/** Taken out once: in a sandbox (workflows, tests) each look-up of a global is slow. */
const { log1p } = Math;

/** Cumulative moments of non-negative numbers. */
export interface Moments {
  readonly count: number;
  readonly sum: number;
  readonly sumSquares: number;
}

/** Fractions of the largest bet, evenly weighted. */
const BETS = [0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7] as const;

/**
 * ln of an e-value against "mean <= bound" of non-negative numbers, from cumulative moments. With y = (x - bound)/bound >= -1 and
 * 0 <= b < 1, exp(b y - (-ln(1 - b) - b) y²) <= 1 + b y (Fan, Grama and Liu 2015, equation 4.11; Howard et al. 2021, "Time-uniform
 * Chernoff bounds"), whose expectation is at most 1: so the product over rows is a supermartingale, and it needs the sums of
 * y and y² only. No upper limit of x is assumed.
 */
export function logMeanAbove(moments: Moments, bound: number): number {
  return logBets(
    moments.count,
    (moments.sum - moments.count * bound) / bound,
    squaresAround(moments, bound) / bound ** 2,
  );
}

/** ln of an e-value against "mean >= bound" of numbers in [0, limit], limit > bound. */
export function logMeanBelow(moments: Moments, bound: number, limit: number): number {
  const room = limit - bound;
  return logBets(
    moments.count,
    (moments.count * bound - moments.sum) / room,
    squaresAround(moments, bound) / room ** 2,
  );
}

function squaresAround(moments: Moments, bound: number): number {
  return Math.max(0, moments.sumSquares - 2 * bound * moments.sum + moments.count * bound ** 2);
}

function logBets(count: number, sum: number, squares: number): number {
  if (count === 0) return 0;
  return logMeanExp(BETS.map((bet) => bet * sum - (-log1p(-bet) - bet) * squares));
}
