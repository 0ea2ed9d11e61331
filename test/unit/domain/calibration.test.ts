import { calibrationNotes, offeredMap, whyNotCalibrated, type Calibrated } from '../../../workflows/domain/calibration';
import { judgePromises } from '../../../workflows/domain/gates';
import { DEFAULT_SERVING, type CalibrationServing } from '../../../workflows/domain/serving';
import type { CalibrationMap } from '../../../workflows/domain/statistics/calibration-map';

const map: CalibrationMap = { method: 'platt', slope: 1, intercept: 0, rows: 500, split: 'validation' };
const none = { method: 'none', reason: 'the validation split has no rows' } as const;
const signature = { task: 'binary', inputs: [], output: { name: 'score', datatype: 'FP32' } } as const;

function release(calibration: Calibrated['calibration'], when?: CalibrationServing): Calibrated {
  const serving = { ...DEFAULT_SERVING, ...(when ? { calibration: when } : {}) };
  return { signature, serving, ...(calibration ? { calibration } : {}) };
}

describe('what callers of a release may expect', () => {
  it('is its map, unless its spec says never', () => {
    expect([offeredMap(release(map)), offeredMap(release(map, 'always'))]).toEqual([map, map]);
    expect([release(map, 'never'), release(none), release(undefined)].map(offeredMap)).toEqual([null, null, null]);
    expect([release(map, 'never'), release(none), release(undefined)].map(whyNotCalibrated)).toEqual([
      'its spec says serving.calibration: never',
      'the validation split has no rows',
      'no calibration map was signed with it',
    ]);
  });

  it('is broken by a successor without it, or with it on request where every answer had it', () => {
    const champion = release(map, 'always');
    expect(calibrationNotes(champion, champion)).toEqual([]);
    expect(calibrationNotes(champion, release(none, 'always'))).toEqual([
      'calibrated probabilities were in every answer, and there are none, because the validation split has no rows',
    ]);
    expect(calibrationNotes(champion, release(map))).toEqual([
      'calibrated probabilities were in every answer, and they are given on request only',
    ]);
    expect(calibrationNotes(release(map), release(none))).toEqual([
      'calibrated probabilities were given on request, and there are none, because the validation split has no rows',
    ]);
    expect(calibrationNotes(release(map), release({ method: 'identity', rows: 9, split: 'validation' }))).toEqual([]);
    for (const before of [release(map, 'never'), release(none, 'always'), release(undefined)])
      expect(calibrationNotes(before, release(none))).toEqual([]);
  });

  it('is judged before people approve, where the spec promises it', () => {
    const evidence = { metrics: {}, champion: null, compatibility: [] };
    const judged = (when: CalibrationServing, found: object) =>
      judgePromises(release(map, when).serving, { ...evidence, ...found });
    const holdout = null;
    expect(judged('request', {})).toEqual([]);
    expect(judged('always', { calibration: { map, reason: 'platt on 500 rows', rows: 500, holdout } })).toMatchObject([
      { gate: 'calibrated', outcome: 'pass' },
    ]);
    expect(judged('always', { calibration: { map: null, reason: none.reason, rows: 0, holdout } })).toEqual([
      {
        ...{ gate: 'calibrated', outcome: 'fail', value: null, bound: null },
        detail: 'serving.calibration is always, and there is no map: the validation split has no rows.',
      },
    ]);
  });
});
