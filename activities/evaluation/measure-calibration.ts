import type { CalibrationEvidence } from '../../workflows/domain/run';
import type { ModelSpec } from '../../workflows/domain/spec';
import { applyCalibration, fitCalibration } from '../../workflows/domain/statistics/calibration-map';
import { advantageLowerBound } from '../../workflows/domain/statistics/day-resampling';
import { measure } from '../../workflows/domain/statistics/metrics';
import { daysOf, invalidScores, type ScoredRows } from './measure-scorers';

/** One scorer's answers to a split. */
export interface ScoredSplit {
  readonly scores: Float32Array;
  readonly labels: Float64Array;
}

/** How sure the holdout's days must be that a map is worse. */
const CONFIDENCE = 0.95;

/**
 * Fits a map on the validation split and measures it on the holdout, which it has not seen. A map that the holdout's days show to be worse
 * is not used: then the scores are what is known best, and are given as they are, so that who asks for probabilities has some from every
 * release. A difference that days do not show is chance either way; where there are too few of them, its sign decides.
 */
export function measureCalibration(
  spec: Pick<ModelSpec, 'training'>,
  validation: ScoredSplit,
  holdout: Pick<ScoredRows, 'labels' | 'eventTimes' | 'candidate'>,
): CalibrationEvidence {
  const rows = validation.scores.length;
  const none = (reason: string): CalibrationEvidence => ({ map: null, reason, rows, holdout: null });
  const invalid =
    invalidScores('binary', validation.scores, 'validation') ?? invalidScores('binary', holdout.candidate);
  if (invalid !== null) return none(invalid.replace(/\.$/, ''));
  const map = fitCalibration(validation.scores, validation.labels, 'validation');
  if (map.method === 'none') return none(map.reason);
  const raw = holdout.candidate;
  const calibrated = Float32Array.from(raw, (score) => applyCalibration(map, score));
  const [before, after] = [figuresOf(raw, holdout.labels), figuresOf(calibrated, holdout.labels)];
  // How much better the scores are without the map than with it.
  const days = daysOf({ ...holdout, champion: calibrated });
  const bound = advantageLowerBound('logLoss', days, CONFIDENCE, spec.training.seed);
  const isWorse = bound === null ? after.logLoss > before.logLoss : bound > 0;
  const losses = `log loss on the holdout is ${text(after.logLoss)} with the map and ${text(before.logLoss)} without`;
  return {
    map: isWorse ? { method: 'identity', rows, split: 'validation' } : map,
    reason: isWorse
      ? `the scores as they are, since the map of the validation split makes the holdout worse: ${losses}`
      : `${map.method} on ${rows} validation rows; ${losses}`,
    rows,
    holdout: {
      logLossRaw: before.logLoss,
      logLossCalibrated: after.logLoss,
      calibrationErrorRaw: before.calibrationError,
      calibrationErrorCalibrated: after.calibrationError,
    },
  };
}

function figuresOf(scores: Float32Array, labels: Float64Array): { logLoss: number; calibrationError: number } {
  return {
    logLoss: measure('logLoss', scores, labels)!,
    calibrationError: measure('calibrationError', scores, labels)!,
  };
}

function text(value: number): string {
  return String(Number(value.toPrecision(4)));
}
