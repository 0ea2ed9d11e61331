/** Taken out once: in a sandbox (workflows, tests) each look-up of a global is slow. */
const { exp, log, abs, sin } = Math;

/** ln Γ(x) for x > 0; Lanczos' approximation (g = 7, 9 terms), relative error below 1e-13. */
export function logGamma(x: number): number {
  if (x < 0.5) return log(Math.PI / sin(Math.PI * x)) - logGamma(1 - x);
  const shifted = x - 1;
  let sum: number = LANCZOS[0];
  for (let term = 1; term < LANCZOS.length; term += 1) sum += LANCZOS[term]! / (shifted + term);
  const base = shifted + 7.5;
  return 0.5 * log(2 * Math.PI) + (shifted + 0.5) * log(base) - base + log(sum);
}

const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
  12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
] as const;

/** ln B(a, b) for a, b > 0. */
export function logBeta(a: number, b: number): number {
  return logGamma(a) + logGamma(b) - logGamma(a + b);
}

/** Regularised lower incomplete gamma P(a, x); series below a + 1, continued fraction above (Numerical Recipes, 6.2). */
export function gammaP(a: number, x: number): number {
  if (x <= 0) return 0;
  const front = exp(a * log(x) - x - logGamma(a));
  if (x < a + 1) {
    let term = 1 / a;
    let sum = term;
    for (let n = 1; n < 1_000 && abs(term) > abs(sum) * 1e-16; n += 1) {
      term *= x / (a + n);
      sum += term;
    }
    return front * sum;
  }
  const complement = lentz(
    (n) => (n === 0 ? 1 : -n * (n - a)),
    (n) => x + 2 * n + 1 - a,
  );
  return 1 - front * complement;
}

/** Regularised incomplete beta I_x(a, b) by its continued fraction (Numerical Recipes, 6.4). */
export function betaI(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - betaI(1 - x, b, a);
  const front = exp(a * log(x) + b * log(1 - x) - logBeta(a, b)) / a;
  const numerator = (n: number): number => {
    if (n === 0) return 1;
    const m = n >> 1;
    if (n % 2 === 0) return (m * (b - m) * x) / ((a + n - 1) * (a + n));
    return (-(a + m) * (a + b + m) * x) / ((a + n - 1) * (a + n));
  };
  return front * lentz(numerator, () => 1);
}

/** Value of a0/(b0 + a1/(b1 + a2/(b2 + …))) by the modified method of Lentz. */
function lentz(a: (n: number) => number, b: (n: number) => number): number {
  const tiny = 1e-300;
  let value = tiny;
  let c = value;
  let d = 0;
  for (let n = 0; n < 10_000; n += 1) {
    d = b(n) + a(n) * d;
    if (abs(d) < tiny) d = tiny;
    c = b(n) + a(n) / c;
    if (abs(c) < tiny) c = tiny;
    d = 1 / d;
    const change = c * d;
    value *= change;
    if (abs(change - 1) < 1e-15) break;
  }
  return value;
}

/** Smallest x in [low, high] with f(x) >= target, f increasing; bisection to the last bit or 200 halvings. */
export function invertIncreasing(f: (x: number) => number, target: number, low: number, high: number): number {
  let left = low;
  let right = high;
  for (let halving = 0; halving < 200; halving += 1) {
    const middle = (left + right) / 2;
    if (middle <= left || middle >= right) break;
    if (f(middle) < target) left = middle;
    else right = middle;
  }
  return (left + right) / 2;
}
