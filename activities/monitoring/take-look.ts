import { offeredMap } from '../../workflows/domain/calibration';
import type { ModelName } from '../../workflows/domain/names';
import type { MonitorReport } from '../../workflows/domain/monitoring';
import type { Profile } from '../../workflows/domain/profile';
import type { ReleaseManifest } from '../../workflows/domain/release';
import type { ModelSpec } from '../../workflows/domain/spec';
import { judgeCalibration } from '../../workflows/domain/statistics/calibration-verdict';
import { judgeDefects, judgeVolume } from '../../workflows/domain/statistics/data-quality';
import { judgeDrift } from '../../workflows/domain/statistics/drift';
import type { Verdict } from '../../workflows/domain/verdict';
import type { PredictionReader } from '../../infra/predictions/reader';
import { countDefects, countWindow, featureWindows } from './window-counts';

export interface LookWindow {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface LookSubject {
  readonly model: ModelName;
  readonly version: number;
  readonly manifest: ReleaseManifest;
  readonly spec: ModelSpec;
  readonly profile: Profile | null;
}

/** Refused by the gateway: the caller's data, not the model. */
const REFUSED = new Set(['INPUT_INVALID', 'REQUEST_INVALID']);
/** A day on which less of the labels arrived says little: which are missing may depend on the label. */
const LEAST_LABELLED = 0.5;

/** Measures one window: data quality and drift over what was sent in it, calibration over the one whose labels have matured, of what callers are given. */
export async function takeLook(
  predictions: Pick<PredictionReader, 'inputs' | 'statuses' | 'evenRows' | 'dayScores'>,
  subject: LookSubject,
  window: LookWindow,
  earlierVolumes: readonly number[],
): Promise<MonitorReport> {
  const { model, version, manifest, spec } = subject;
  const inputs = await measureInputs(predictions, subject, window, earlierVolumes);
  const maturityMs = spec.label.maturityMs;
  // What callers decide by: they are wrong when the calibrated probabilities are, whatever the scores say.
  const map = offeredMap(manifest);
  const span = { fromMs: window.fromMs - maturityMs, toMs: window.toMs - maturityMs, asOfMs: window.toMs };
  const days = await predictions.dayScores({ model, release: version, ...span }, map);
  const matured = days
    .filter((day) => day.labelled >= LEAST_LABELLED * day.rows)
    .map(({ day, labelled, ...sums }) => ({ day, ...sums, rows: labelled }));
  return {
    schema: 'slipway.look/1',
    model,
    release: version,
    windowFrom: new Date(window.fromMs).toISOString(),
    windowTo: new Date(window.toMs).toISOString(),
    ...inputs,
    calibration: judgeCalibration(spec.monitor.calibration, matured, map ? 'calibrated' : 'score'),
    labelled: matured.reduce((sum, day) => sum + day.rows, 0),
  };
}

async function measureInputs(
  predictions: Pick<PredictionReader, 'inputs' | 'statuses' | 'evenRows'>,
  subject: LookSubject,
  window: LookWindow,
  earlierVolumes: readonly number[],
): Promise<{ dataQuality: Verdict[]; drift: Verdict[]; rows: number }> {
  const { model, version, manifest, profile, spec } = subject;
  const { inputs } = manifest.signature;
  const { redact } = manifest.serving.log;
  const kept = inputs.filter(({ name }) => !redact.includes(name));
  const types = Object.fromEntries(kept.map(({ name, type }) => [name, type]));
  const query = { model, ...window, asOfMs: window.toMs };
  const statuses = Object.entries(await predictions.statuses({ ...query, release: null }));
  const requests = statuses.reduce((sum, [, count]) => sum + count, 0);
  const refused = statuses.reduce((sum, [status, count]) => sum + (REFUSED.has(status) ? count : 0), 0);
  // How sure a share is depends on what was logged, not on what that stands for.
  const rows = await predictions.evenRows({ ...query, release: null });
  const refusals = requests > 0 ? Math.round((rows * refused) / requests) : 0;
  // Another release may take other inputs: only what reached this one is held against its profile.
  const columns = await predictions.inputs({ ...query, release: version }, types);
  const features = profile ? featureWindows(kept, profile, columns) : [];
  const defects = [{ check: 'refused', rows, defects: refusals, expected: 0 }, ...features.flatMap(countDefects)];
  return {
    dataQuality: [judgeVolume(requests, earlierVolumes), ...defects.map(judgeDefects)],
    drift: [...judgeDrift(spec.monitor.drift, features.map(countWindow)), ...redact.map(redacted)],
    rows: requests,
  };
}

/** No data is never good, and here it is no drift either. */
function redacted(feature: string): Verdict {
  return {
    check: `drift:${feature}`,
    outcome: 'inconclusive',
    statistic: { name: 'psi', value: null },
    bound: { name: 'minEffect', value: 0 },
    counts: {},
    detail: 'not measurable: its values are left out of the prediction log',
    resolves: 'a release whose serving.log.redact does not name it',
  };
}

/** A report of a model that nothing serves, that is retired, or that nobody asked: nothing could be measured. */
export function emptyReport(model: ModelName, release: number, at: string, why: string): MonitorReport {
  const open: Verdict = {
    check: 'calibration',
    outcome: 'inconclusive',
    statistic: { name: 'mean(score) - mean(label)', value: null },
    bound: { name: 'maxGap', value: 0 },
    counts: {},
    detail: why,
    resolves: why,
  };
  return {
    schema: 'slipway.look/1',
    ...{ model, release, windowFrom: at, windowTo: at },
    ...{ dataQuality: [], drift: [], calibration: open, rows: 0, labelled: 0 },
  };
}
