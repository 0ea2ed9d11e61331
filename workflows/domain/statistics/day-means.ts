/** Taken out once: in a sandbox (workflows, tests) each look-up of a global is slow. */
const { exp, log, sqrt, max, min } = Math;
const infinity = Infinity;

/** What is known of the mean day. Without bounds it is -Infinity to Infinity. */
export interface DayMean {
  readonly mean: number | null;
  /** Valid after all days at once. */
  readonly lower: number;
  readonly upper: number;
}

/** Fewer days do not say how much days differ. */
export const MIN_WHOLE_DAYS = 3;

/** Variance of the effects (distance from the truth in standard deviations of a day) that bets are spread over: best for about 5. */
const EFFECT_VARIANCE = 30;

/**
 * Confidence sequence of the mean day, at two-sided level `alpha` however often one looks, from the means of days in order. A day is
 * one trial: rows of a day share their weather and their hours. The Bayes factor of a normal mean against any other, with
 * normal effects (Gönen, Johnson, Lu and Westfall 2005, "The Bayesian two-sample t test") and the right Haar prior on the standard
 * deviation, is a test martingale in t (Hendriksen, de Heide and Grünwald 2021; Wang and Ramdas 2024, "Anytime-valid t-tests");
 * means are kept where it never reached 1/alpha. Exact for normal days of any spread.
 */
export function boundMeanDay(days: readonly number[], alpha: number): DayMean {
  let [lower, upper, sum, squares] = [-infinity, infinity, 0, 0];
  days.forEach((day, index) => {
    const before = index > 0 ? sum / index : day;
    sum += day;
    const mean = sum / (index + 1);
    // Welford's recurrence: days that hardly differ must not lose their difference in rounding.
    squares += (day - before) * (day - mean);
    const width = halfWidth(index + 1, squares, alpha);
    lower = max(lower, mean - width);
    upper = min(upper, mean + width);
  });
  return { mean: days.length > 0 ? sum / days.length : null, lower, upper };
}

/** `squares`: sum of squared distances from the mean of `count` days. */
export function halfWidth(count: number, squares: number, alpha: number): number {
  const spread = 1 + count * EFFECT_VARIANCE;
  const bar = exp((2 / count) * (log(spread) / 2 - log(alpha)));
  if (count < MIN_WHOLE_DAYS || bar >= spread) return infinity;
  return sqrt((squares * (bar - 1)) / (1 - bar / spread) / count);
}
