import type { MetricName } from '../spec';

/** Taken out once: in a sandbox (workflows, tests) each look-up of a global is slow. */
const { log, log1p } = Math;

/** One number for each row. */
export type Column = ArrayLike<number>;

/** Probabilities are kept this far from 0 and 1, so that one certain and wrong row costs 16 nats and not infinity. */
export const PROBABILITY_FLOOR = 1e-7;

/**
 * Probability that a random row with label 1 scores above a random row with label 0, ties counted half (Mann and Whitney,
 * 1947). Null where only one of the two labels occurs.
 */
export function auc(scores: Column, labels: Column): number | null {
  const order = ascending(scores);
  let positives = 0;
  let negatives = 0;
  let won = 0;
  for (let start = 0; start < order.length;) {
    const score = scores[order[start]!]!;
    let end = start;
    let tiedPositives = 0;
    for (; end < order.length && scores[order[end]!] === score; end += 1)
      if (labels[order[end]!]! > 0.5) tiedPositives += 1;
    const tiedNegatives = end - start - tiedPositives;
    won += tiedPositives * (negatives + tiedNegatives / 2);
    positives += tiedPositives;
    negatives += tiedNegatives;
    start = end;
  }
  return positives > 0 && negatives > 0 ? won / (positives * negatives) : null;
}

/** Row numbers by ascending score. */
export function ascending(scores: Column): Uint32Array {
  return Uint32Array.from({ length: scores.length }, (_, row) => row).sort((a, b) => scores[a]! - scores[b]!);
}

/** Loss of one row: nats for `logLoss`, squares for `brier` and `squaredError`, the unit of the label for `absoluteError`. */
export type RowLoss = (score: number, label: number) => number;

export const ROW_LOSSES = {
  logLoss: (score, label) => {
    const p = Math.min(1 - PROBABILITY_FLOOR, Math.max(PROBABILITY_FLOOR, score));
    return label > 0.5 ? -log(p) : -log1p(-p);
  },
  brier: (score, label) => (score - label) ** 2,
  squaredError: (score, label) => (score - label) ** 2,
  absoluteError: (score, label) => Math.abs(score - label),
} as const satisfies Record<string, RowLoss>;

/** Mean over rows; null where there are none. */
export function meanLoss(loss: RowLoss, scores: Column, labels: Column): number | null {
  let sum = 0;
  for (let row = 0; row < scores.length; row += 1) sum += loss(scores[row]!, labels[row]!);
  return scores.length > 0 ? sum / scores.length : null;
}

export const CALIBRATION_BINS = 10;

export function calibrationBin(score: number): number {
  return Math.min(CALIBRATION_BINS - 1, Math.max(0, Math.floor(score * CALIBRATION_BINS)));
}

/** Expected calibration error over ten bins of equal width: mean over rows of |mean score - mean label| of the row's bin. */
export function calibrationError(scores: Column, labels: Column): number | null {
  const gaps = new Float64Array(CALIBRATION_BINS);
  for (let row = 0; row < scores.length; row += 1) gaps[calibrationBin(scores[row]!)]! += scores[row]! - labels[row]!;
  return scores.length > 0 ? gaps.reduce((sum, gap) => sum + Math.abs(gap), 0) / scores.length : null;
}

/** Share of the labels' variance that the scores explain; null where all labels are equal. */
export function r2(scores: Column, labels: Column): number | null {
  let sum = 0;
  for (let row = 0; row < labels.length; row += 1) sum += labels[row]!;
  const mean = sum / labels.length;
  let residual = 0;
  let total = 0;
  for (let row = 0; row < labels.length; row += 1) {
    residual += (labels[row]! - scores[row]!) ** 2;
    total += (labels[row]! - mean) ** 2;
  }
  return total > 0 ? 1 - residual / total : null;
}

/** A metric by name over rows; null where it cannot be measured. NaN scores make NaN: check them first. */
export function measure(metric: MetricName, scores: Column, labels: Column): number | null {
  switch (metric) {
    case 'auc':
      return auc(scores, labels);
    case 'logLoss':
      return meanLoss(ROW_LOSSES.logLoss, scores, labels);
    case 'brier':
      return meanLoss(ROW_LOSSES.brier, scores, labels);
    case 'calibrationError':
      return calibrationError(scores, labels);
    case 'rmse': {
      const mean = meanLoss(ROW_LOSSES.squaredError, scores, labels);
      return mean === null ? null : Math.sqrt(mean);
    }
    case 'mae':
      return meanLoss(ROW_LOSSES.absoluteError, scores, labels);
    case 'r2':
      return r2(scores, labels);
  }
}
