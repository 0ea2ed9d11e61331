import { betaI, gammaP, invertIncreasing } from './special-functions';

/** Standard normal distribution function. */
export function normalCdf(z: number): number {
  const tail = 0.5 * (1 - gammaP(0.5, (z * z) / 2));
  return z < 0 ? tail : 1 - tail;
}

/** Standard normal quantile of p in (0, 1). */
export function normalQuantile(p: number): number {
  return p < 0.5 ? -normalQuantile(1 - p) : invertIncreasing(normalCdf, p, 0, 40);
}

/** Chi-square distribution function. */
export function chiSquareCdf(x: number, degrees: number): number {
  return gammaP(degrees / 2, x / 2);
}

/** Chi-square quantile of p in [0, 1). */
export function chiSquareQuantile(p: number, degrees: number): number {
  return invertIncreasing(
    (x) => chiSquareCdf(x, degrees),
    p,
    0,
    upperEnd((x) => chiSquareCdf(x, degrees), p, degrees),
  );
}

/** Student's t distribution function. */
export function studentCdf(t: number, degrees: number): number {
  const tail = 0.5 * betaI(degrees / (degrees + t * t), degrees / 2, 0.5);
  return t < 0 ? tail : 1 - tail;
}

/** Student's t quantile of p in (0, 1). */
export function studentQuantile(p: number, degrees: number): number {
  if (p < 0.5) return -studentQuantile(1 - p, degrees);
  const cdf = (t: number): number => studentCdf(t, degrees);
  return invertIncreasing(cdf, p, 0, upperEnd(cdf, p, 2));
}

/** Quantile of Beta(a, b). */
export function betaQuantile(p: number, a: number, b: number): number {
  return invertIncreasing((x) => betaI(x, a, b), p, 0, 1);
}

function upperEnd(cdf: (x: number) => number, p: number, start: number): number {
  let high = start;
  while (cdf(high) < p && high < 1e12) high *= 2;
  return high;
}
