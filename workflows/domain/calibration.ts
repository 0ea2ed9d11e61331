import type { ReleaseManifest } from './release';
import type { CalibrationEvidence } from './run';
import type { CalibrationMap } from './statistics/calibration-map';

/** What decides whether callers of a release can have calibrated probabilities. */
export type Calibrated = Pick<ReleaseManifest, 'calibration' | 'serving' | 'signature'>;

/** The map that a release's answers may carry; null where `whyNotCalibrated` says why not. */
export function offeredMap({
  calibration,
  serving,
}: Pick<Calibrated, 'calibration' | 'serving'>): CalibrationMap | null {
  return !calibration || calibration.method === 'none' || serving.calibration === 'never' ? null : calibration;
}

/** A clause that goes on after "because", of a release whose `offeredMap` is null. */
export function whyNotCalibrated({ calibration, serving, signature }: Calibrated): string {
  if (signature.task !== 'binary') return 'it gives values, not probabilities';
  if (serving.calibration === 'never') return 'its spec says serving.calibration: never';
  return calibration?.method === 'none' ? calibration.reason : 'no calibration map was signed with it';
}

/** The part of the evidence that a release is signed with. */
export function calibrationOf({ map, reason }: CalibrationEvidence): NonNullable<ReleaseManifest['calibration']> {
  return map ?? { method: 'none', reason };
}

/**
 * What callers of a champion that calibrates every answer would miss at the candidate: one sentence, or none. What a champion gives on
 * request only is no promise: a map that the next season refutes would stop each retrain, also where nobody ever asked for it. Who does ask
 * is refused by the challenger and answered by the champion, and the challenger is charged with that while it is on trial.
 */
export function calibrationNotes(champion: Calibrated, candidate: Calibrated): string[] {
  if (!isInEveryAnswer(champion) || isInEveryAnswer(candidate)) return [];
  const instead =
    offeredMap(candidate) === null
      ? `there are none, because ${whyNotCalibrated(candidate)}`
      : 'they are given on request only';
  return [`calibrated probabilities were in every answer, and ${instead}`];
}

function isInEveryAnswer(release: Calibrated): boolean {
  return offeredMap(release) !== null && release.serving.calibration === 'always';
}
