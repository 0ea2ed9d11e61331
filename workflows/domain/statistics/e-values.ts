/** Taken out once: in a sandbox (workflows, tests) each look-up of a global is slow. */
const { exp, log } = Math;
const infinity = Infinity;

/**
 * E-values: non-negative numbers whose expectation under the null is at most 1 at any stopping time, so that by Ville's
 * inequality P(ever >= 1/alpha) <= alpha however often one looks. A weighted mean of e-values is one again (Ramdas, Grünwald,
 * Vovk and Shafer 2023, "Game-theoretic statistics and safe anytime-valid inference"). All are kept as logarithms.
 */

/** ln of the sum of exponentials, without overflow; -Infinity for none. */
export function logSumExp(values: readonly number[]): number {
  let largest = -infinity;
  for (const value of values) if (value > largest) largest = value;
  if (largest === -infinity || largest === infinity) return largest;
  let sum = 0;
  for (const value of values) sum += exp(value - largest);
  return largest + log(sum);
}

/** ln of the even mean of e-values given as logarithms. */
export function logMeanExp(values: readonly number[]): number {
  return logSumExp(values) - log(values.length);
}

/** An e-value for people: not beyond 10^300, which JSON can hold. */
export function fromLog(logValue: number): number {
  return exp(Math.min(logValue, 690));
}

/**
 * Smallest factor by which what was seen must grow, at the same rates, until an e-value reaches the bar; null where a
 * hundredfold would not do. `logAt(factor)` must give the larger of the e-values that could settle the question.
 */
export function growthToSettle(logAt: (factor: number) => number, alpha: number): number | null {
  const bar = log(1 / alpha);
  let high = 1.05;
  while (logAt(high) < bar) {
    high *= 1.3;
    if (high > 100) return null;
  }
  return high;
}

/** A number of trials for people: two digits are plenty for a projection. */
export function roundedUp(count: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, count))) - 1);
  return Math.ceil(count / unit) * unit;
}
