import { fitIsotonic, type ScoreGroup } from './isotonic';
import { PROBABILITY_FLOOR, ascending, type Column } from './metrics';
import { fitPlatt, logOdds } from './platt';

/** Rows that a map was fitted on. */
interface MapSource {
  readonly rows: number;
  readonly split: 'validation';
}

/** Straight lines between knots, both ascending and at most `MAX_KNOTS`; the end values beyond them. */
interface IsotonicMap extends MapSource {
  readonly method: 'isotonic';
  readonly scores: readonly number[];
  readonly probabilities: readonly number[];
}

/** 1 / (1 + exp(-(slope · log odds of the score + intercept))). */
interface PlattMap extends MapSource {
  readonly method: 'platt';
  readonly slope: number;
  readonly intercept: number;
}

/** The score is the probability: what the fitted map made of the holdout was worse. */
interface IdentityMap extends MapSource {
  readonly method: 'identity';
}

/** From a binary model's score to the probability that the label is 1: never falling, and never 0 or 1. */
export type CalibrationMap = IsotonicMap | PlattMap | IdentityMap;

export interface NoCalibration {
  readonly method: 'none';
  /** A clause that goes on after "because". */
  readonly reason: string;
}

/** Rows of either label that an isotonic map needs: with fewer its steps follow chance (Niculescu-Mizil and Caruana 2005). */
export const LEAST_FOR_ISOTONIC = 1_000;
/** Rows of either label below which two numbers are too many. */
export const LEAST_FOR_PLATT = 50;

/** Fits a map from the scores and labels (0 or 1) of a split's rows, in any order: isotonic where rows allow it, else Platt's sigmoid. */
export function fitCalibration(
  scores: Column,
  labels: Column,
  split: MapSource['split'],
): CalibrationMap | NoCalibration {
  const groups = groupByScore(scores, labels);
  const rows = scores.length;
  const positives = groups.reduce((sum, group) => sum + group.positives, 0);
  const fewest = Math.min(positives, rows - positives);
  if (fewest >= LEAST_FOR_ISOTONIC) return { method: 'isotonic', ...fitIsotonic(groups), rows, split };
  if (fewest >= LEAST_FOR_PLATT) return { method: 'platt', ...fitPlatt(groups), rows, split };
  const found = rows === 0 ? 'no rows' : `${positives} rows with label 1 and ${rows - positives} with label 0`;
  return { method: 'none', reason: `the ${split} split has ${found}; a map needs ${LEAST_FOR_PLATT} of each` };
}

/** The calibrated probability of a score, which counts as the 32-bit number that a gateway answers. */
export function applyCalibration(map: CalibrationMap, score: number): number {
  const probability = mapped(map, Math.fround(score));
  return Math.min(1 - PROBABILITY_FLOOR, Math.max(PROBABILITY_FLOOR, probability));
}

function mapped(map: CalibrationMap, score: number): number {
  switch (map.method) {
    case 'isotonic':
      return interpolate(map, score);
    case 'platt':
      return 1 / (1 + Math.exp(-(map.slope * logOdds(score) + map.intercept)));
    case 'identity':
      return score;
  }
}

function interpolate({ scores, probabilities }: IsotonicMap, score: number): number {
  let above = 0;
  let end = scores.length;
  while (above < end) {
    const middle = (above + end) >> 1;
    if (scores[middle]! > score) end = middle;
    else above = middle + 1;
  }
  if (above === 0) return probabilities[0]!;
  const from = probabilities[above - 1]!;
  if (above === scores.length) return from;
  const to = probabilities[above]!;
  const share = (score - scores[above - 1]!) / (scores[above]! - scores[above - 1]!);
  // Rounding must not step over the knot: the map would fall there.
  return Math.min(to, from + (to - from) * share);
}

/** Rows with equal scores are one group, so that no fit depends on the order in which rows come. */
function groupByScore(scores: Column, labels: Column): ScoreGroup[] {
  const groups: { score: number; rows: number; positives: number }[] = [];
  for (const row of ascending(scores)) {
    const score = Math.fround(scores[row]!);
    let last = groups.at(-1);
    if (last?.score !== score) groups.push((last = { score, rows: 0, positives: 0 }));
    last.rows += 1;
    if (labels[row]! > 0.5) last.positives += 1;
  }
  return groups;
}
