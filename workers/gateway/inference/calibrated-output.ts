import { offeredMap, whyNotCalibrated } from '../../../workflows/domain/calibration';
import type { ReleaseManifest } from '../../../workflows/domain/release';
import { applyCalibration, type CalibrationMap } from '../../../workflows/domain/statistics/calibration-map';
import type { OutputTensor } from './output-tensor';
import { NO_OUTPUTS } from './output-tensor';
import type { V2Request } from './protocol';
import { invalid } from './protocol';

/** Output beside the score: P(label = 1) by the release's signed map, FP32 [rows, 1]. */
export const CALIBRATED_OUTPUT = 'calibrated';

type Asking = Pick<V2Request, 'outputs' | 'parameters'>;

/** Throws REQUEST_INVALID where a request asks for calibrated probabilities that the release does not have. */
export function checkCalibrated(manifest: ReleaseManifest, request: Asking): void {
  if (asksForIt(request) && offeredMap(manifest) === null)
    throw invalid(
      `release ${manifest.version} gives no calibrated probabilities, because ${whyNotCalibrated(manifest)}`,
    );
}

/** By the release's policy, or because the request names the output, or has the parameter `calibrated`. */
export function calibratedOutputs(
  manifest: ReleaseManifest,
  request: Asking,
  scores: Float32Array,
): readonly OutputTensor[] {
  if (manifest.serving.calibration !== 'always' && !asksForIt(request)) return NO_OUTPUTS;
  const map = offeredMap(manifest);
  return map === null ? NO_OUTPUTS : [calibrate(map, scores)];
}

function asksForIt({ outputs, parameters }: Asking): boolean {
  return parameters.calibrated === true || (outputs !== null && outputs.includes(CALIBRATED_OUTPUT));
}

function calibrate(map: CalibrationMap, scores: Float32Array): OutputTensor {
  const data = new Float32Array(scores.length);
  for (let row = 0; row < scores.length; row += 1) data[row] = applyCalibration(map, scores[row]!);
  return { name: CALIBRATED_OUTPUT, datatype: 'FP32', width: 1, data };
}
