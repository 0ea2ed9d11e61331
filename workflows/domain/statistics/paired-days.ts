import { logMeanExp } from './e-values';

/** Taken out once: in a sandbox (workflows, tests) each look-up of a global is slow. */
const { log1p, max, min } = Math;

/** Both arms' mean loss over the same matured rows of one day. */
export interface PairedDay {
  /** `2001-03-14`. */
  readonly day: string;
  readonly rows: number;
  readonly championLoss: number;
  readonly challengerLoss: number;
}

/** One point of a chart: what is known of the mean advantage after this day. */
export interface AdvantagePoint {
  readonly day: string;
  readonly rows: number;
  /** Of this day, as a fraction of the champion's loss, before clipping. Positive: the challenger is better. */
  readonly advantage: number;
  readonly mean: number;
  /** One-sided bounds, each at level alpha, valid at all days at once. */
  readonly lower: number;
  readonly upper: number;
}

/**
 * A day's advantage counts as at most so much of the champion's loss, either way. It makes bets finite: the claim is about the
 * mean of clipped days. Challengers worth a rollout win by 1 to 4 % a day, and one freak day should not decide.
 */
export const LARGEST_DAY_ADVANTAGE = 0.04;

/** Fractions of the largest bet, evenly weighted. */
const BETS = [0.35, 0.65, 0.95] as const;

/** (champion - challenger)/champion of a day. */
export function advantageOf(day: PairedDay): number {
  return day.championLoss > 0 ? (day.championLoss - day.challengerLoss) / day.championLoss : 0;
}

/**
 * ln of the capital of bets that the mean day is above `mean`; an e-value against "mean day <= mean". `times`: as if the same days
 * had come so often, for projections.
 */
export function logCapitalAbove(advantages: readonly number[], mean: number, limit: number, times = 1): number {
  const room = limit + mean;
  return logMeanExp(BETS.map((bet) => times * sumOf(advantages, (x) => log1p((bet * (clip(x, limit) - mean)) / room))));
}

/** ln of the capital of bets that the mean day is below `mean`; an e-value against "mean day >= mean". */
export function logCapitalBelow(advantages: readonly number[], mean: number, limit: number, times = 1): number {
  const room = limit - mean;
  return logMeanExp(BETS.map((bet) => times * sumOf(advantages, (x) => log1p((bet * (mean - clip(x, limit))) / room))));
}

/**
 * Confidence sequence of the mean clipped day by betting (Waudby-Smith and Ramdas 2024, "Estimating means of bounded random
 * variables by betting", JRSS B 86, with fixed bets mixed): days are the independent pieces, rows of a day are not.
 */
export function advantageSeries(days: readonly PairedDay[], alpha: number, limit: number): AdvantagePoint[] {
  const bar = Math.log(1 / alpha);
  const advantages: number[] = [];
  let [lower, upper] = [-limit, limit];
  return days.map((day) => {
    advantages.push(advantageOf(day));
    lower = max(
      lower,
      lastWhere((mean) => logCapitalAbove(advantages, mean, limit) >= bar, -limit, limit),
    );
    upper = min(upper, -lastWhere((mean) => logCapitalBelow(advantages, -mean, limit) >= bar, -limit, limit));
    const mean = sumOf(advantages, (x) => clip(x, limit)) / advantages.length;
    return { day: day.day, rows: day.rows, advantage: advantageOf(day), mean, lower, upper };
  });
}

/** Largest mean in (from, to) that is still rejected, where smaller ones are too; `from` where none is. */
function lastWhere(rejected: (mean: number) => boolean, from: number, to: number): number {
  let [low, high] = [from, to];
  for (let halving = 0; halving < 30; halving += 1) {
    const middle = (low + high) / 2;
    if (rejected(middle)) low = middle;
    else high = middle;
  }
  return low;
}

function clip(x: number, limit: number): number {
  return min(limit, max(-limit, x));
}

function sumOf(values: readonly number[], term: (value: number) => number): number {
  let sum = 0;
  for (const value of values) sum += term(value);
  return sum;
}
