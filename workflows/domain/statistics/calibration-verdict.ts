import type { MonitorSpec } from '../spec';
import type { Verdict } from '../verdict';
import { studentQuantile } from './distributions';

/** Sums over the matured rows of one day. */
export interface CalibrationDay {
  readonly day: string;
  readonly rows: number;
  /** What the rows stand for, and the sums are of; default: themselves. */
  readonly requests?: number;
  readonly scoreSum: number;
  readonly labelSum: number;
}

/** Fewer say nothing about how much days differ. */
export const MIN_CALIBRATION_DAYS = 3;
/** Fewer labelled rows are not measurable. */
export const MIN_CALIBRATION_ROWS = 200;

export interface CalibrationGap {
  /** mean(score) - mean(label), in the label's unit; the same of calibrated probabilities. */
  readonly gap: number;
  /** Half width of the two-sided interval at 1 - alpha. */
  readonly halfWidth: number;
}

/**
 * Gap between mean score and mean label over a window, with Student's interval over days: rows of a day share its weather.
 * The standard error is of a ratio of day sums (Cochran 1977, section 6.4). Null below `MIN_CALIBRATION_DAYS` days.
 */
export function calibrationGap(days: readonly CalibrationDay[], alpha: number): CalibrationGap | null {
  const used = days.filter((day) => day.rows > 0);
  if (used.length < MIN_CALIBRATION_DAYS) return null;
  const sizeOf = ({ rows, requests }: CalibrationDay): number => requests ?? rows;
  const size = used.reduce((sum, day) => sum + sizeOf(day), 0);
  const gap = used.reduce((sum, day) => sum + day.scoreSum - day.labelSum, 0) / size;
  const squares = used.reduce((sum, day) => sum + (day.scoreSum - day.labelSum - gap * sizeOf(day)) ** 2, 0);
  const standardError = Math.sqrt((squares * used.length) / (used.length - 1)) / size;
  return { gap, halfWidth: standardError * studentQuantile(1 - alpha / 2, used.length - 1) };
}

/** `fail`: the gap is larger than `maxGap`, and is not a matter of a few odd days (its interval leaves out 0). */
export function judgeCalibration(
  spec: MonitorSpec['calibration'],
  days: readonly CalibrationDay[],
  given: 'score' | 'calibrated' = 'score',
): Verdict {
  const rows = days.reduce((sum, day) => sum + day.rows, 0);
  const measured = rows >= MIN_CALIBRATION_ROWS ? calibrationGap(days, spec.alpha) : null;
  const name = `mean(${given}) - mean(label)`;
  const base = {
    check: 'calibration',
    bound: { name: 'maxGap', value: spec.maxGap },
    counts: { days: days.filter((day) => day.rows > 0).length, labels: rows },
  };
  if (measured === null) {
    return {
      ...base,
      outcome: 'inconclusive',
      statistic: { name, value: null },
      detail: 'too few matured labels in the window',
      resolves: `at least ${MIN_CALIBRATION_ROWS} matured labels on ${MIN_CALIBRATION_DAYS} days`,
    };
  }
  const isWide = Math.abs(measured.gap) > spec.maxGap;
  const isSure = Math.abs(measured.gap) > measured.halfWidth;
  return {
    ...base,
    outcome: !isWide ? 'pass' : isSure ? 'fail' : 'inconclusive',
    statistic: { name, value: measured.gap },
    detail: `${given === 'score' ? 'scores' : 'calibrated probabilities'} are ${signed(measured.gap)} ± ${measured.halfWidth.toFixed(4)} from labels, ±${spec.maxGap} allowed`,
    resolves: isWide && !isSure ? 'more days: the gap may come from a few of them' : '',
  };
}

function signed(gap: number): string {
  return `${gap >= 0 ? '+' : ''}${gap.toFixed(4)}`;
}
