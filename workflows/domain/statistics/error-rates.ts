import { logMeanExp } from './e-values';

/** Taken out once: in a sandbox (workflows, tests) each look-up of a global is slow. */
const { exp, log, min } = Math;
const infinity = Infinity;

/** Independent trials of one arm, counted from the start: assignment keys, and those whose first request met an error. */
export interface KeyCounts {
  readonly keys: number;
  readonly errorKeys: number;
}

export interface ErrorComparison {
  /** ln of the e-value against "challenger's rate <= champion's + margin". */
  readonly logWorse: number;
  /** ln of the e-value against "challenger's rate >= champion's + margin". */
  readonly logNotWorse: number;
}

/** Log odds ratios that the mixtures bet on: the challenger on few keys, the champion on many. */
const CHALLENGER_SHIFTS = [0.35, 0.7, 1.05, 1.6, 2.3, 3.2, 4.5] as const;
const CHAMPION_SHIFTS = [0.03, 0.06, 0.12, 0.25, 0.5, 1, 2, 4] as const;
const SMALLEST_RATE = 1e-7;
const GRID = 40;

/**
 * Compares two Bernoulli rates from cumulative counts, at any number of looks. For a champion rate p, the challenger's likelihood
 * ratio of rates above p + margin (a mixture over log odds ratios, so a martingale at p + margin and a supermartingale
 * below it) times the champion's own of rates below p is a supermartingale whatever order keys arrive in; the least over all p
 * is an e-value for the whole null (Ramdas et al. 2022, "Testing exchangeability", on e-processes as infima; Robbins 1970 on
 * mixtures). The champion's factor is halved with the constant 1, so that its plenty of keys costs ln 2 and not ½ ln n.
 */
export function compareErrorRates(champion: KeyCounts, challenger: KeyCounts, margin: number): ErrorComparison {
  const worse = (p: number): number =>
    logMixture(challenger, p + margin, CHALLENGER_SHIFTS, 1) + logHedged(logMixture(champion, p, CHAMPION_SHIFTS, -1));
  const notWorse = (p: number): number =>
    logMixture(challenger, p + margin, CHALLENGER_SHIFTS, -1) + logHedged(logMixture(champion, p, CHAMPION_SHIFTS, 1));
  return { logWorse: leastOver(worse, margin), logNotWorse: leastOver(notWorse, margin) };
}

/** ln of the mean likelihood ratio of rates `direction` of p (by log odds) against p. */
function logMixture(counts: KeyCounts, p: number, shifts: readonly number[], direction: 1 | -1): number {
  const odds = p / (1 - p);
  const ratios = shifts.map((shift) => {
    const factor = exp(direction * shift);
    // For odds times f, the likelihood ratio of an error is f / (1 - p + p f), of a success 1 / (1 - p + p f).
    return counts.errorKeys * direction * shift - counts.keys * log((1 + odds * factor) / (1 + odds));
  });
  return logMeanExp(ratios);
}

/** ln of (1 + e)/2: 1 is a martingale too. */
function logHedged(logValue: number): number {
  return logMeanExp([0, logValue]);
}

/** Least value over champion rates p in [0, 1 - margin): a grid in log odds, then golden section around its lowest points. */
function leastOver(f: (p: number) => number, margin: number): number {
  const low = log(SMALLEST_RATE);
  const high = log((1 - margin - SMALLEST_RATE) / (margin + SMALLEST_RATE));
  const step = (high - low) / GRID;
  const at = (position: number): number => f(min(expit(low + position * step), 1 - margin - SMALLEST_RATE));
  const values = Array.from({ length: GRID + 1 }, (_, position) => at(position));
  let least = infinity;
  for (let position = 0; position <= GRID; position += 1) {
    const here = values[position]!;
    const isValley = here <= (values[position - 1] ?? infinity) && here <= (values[position + 1] ?? infinity);
    if (isValley) least = min(least, here, goldenSection(at, Math.max(0, position - 1), min(GRID, position + 1)));
  }
  return least;
}

function goldenSection(f: (x: number) => number, from: number, to: number): number {
  const ratio = (Math.sqrt(5) - 1) / 2;
  let [low, high] = [from, to];
  let [left, right] = [high - ratio * (high - low), low + ratio * (high - low)];
  let [atLeft, atRight] = [f(left), f(right)];
  while (high - low > 0.01) {
    if (atLeft < atRight) {
      [high, right, atRight] = [right, left, atLeft];
      left = high - ratio * (high - low);
      atLeft = f(left);
    } else {
      [low, left, atLeft] = [left, right, atRight];
      right = low + ratio * (high - low);
      atRight = f(right);
    }
  }
  return min(atLeft, atRight);
}

function expit(logit: number): number {
  return 1 / (1 + exp(-logit));
}
