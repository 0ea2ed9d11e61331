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

/** What callers of the champion's calibrated probabilities would miss at the candidate: one sentence, or none. */
export function calibrationNotes(champion: Calibrated, candidate: Calibrated): string[] {
  if (offeredMap(champion) === null) return [];
  const were = `calibrated probabilities were ${isInEveryAnswer(champion) ? 'in every answer' : 'given on request'}`;
  if (offeredMap(candidate) === null) return [`${were}, and there are none, because ${whyNotCalibrated(candidate)}`];
  if (!isInEveryAnswer(champion) || isInEveryAnswer(candidate)) return [];
  return [`${were}, and they are given on request only`];
}

function isInEveryAnswer(release: Calibrated): boolean {
  return offeredMap(release) !== null && release.serving.calibration === 'always';
}
