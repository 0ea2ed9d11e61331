import { measureCalibration, type ScoredSplit } from '../../../activities/evaluation/measure-calibration';
import { normalFrom, seededRandom, type RandomSource } from '../../../workflows/domain/statistics/random';

const DAY_MS = 86_400_000;
const SPEC = { training: { seed: 7 } } as Parameters<typeof measureCalibration>[0];
const sigmoid = (z: number): number => 1 / (1 + Math.exp(-z));

/** Labels follow sigmoid(z + shift); the model says sigmoid(slope · z). */
function rows(random: RandomSource, count: number, { slope = 1, shift = 0 } = {}): ScoredSplit {
  const scores = new Float32Array(count);
  const labels = new Float64Array(count);
  for (let row = 0; row < count; row += 1) {
    const z = 1.5 * normalFrom(random) - 0.5;
    scores[row] = sigmoid(slope * z);
    labels[row] = random() < sigmoid(z + shift) ? 1 : 0;
  }
  return { scores, labels };
}

function holdout(split: ScoredSplit, days: number): Parameters<typeof measureCalibration>[2] {
  const count = split.scores.length;
  const eventTimes = Float64Array.from({ length: count }, (_, row) => Math.floor((row * days) / count) * DAY_MS);
  return { labels: split.labels, eventTimes, candidate: split.scores };
}

describe('the calibration of a candidate', () => {
  it('is a map where the holdout agrees with the validation split, with the figures of both', () => {
    const random = seededRandom(1);
    const found = measureCalibration(
      SPEC,
      rows(random, 8_000, { slope: 2 }),
      holdout(rows(random, 8_000, { slope: 2 }), 7),
    );
    expect(found).toMatchObject({ map: { method: 'isotonic', split: 'validation' }, rows: 8_000 });
    expect(found.reason).toMatch(/^isotonic on 8000 validation rows; log loss on the holdout is 0\.\d+ with the map/);
    const { logLossRaw, logLossCalibrated, calibrationErrorRaw, calibrationErrorCalibrated } = found.holdout!;
    expect(logLossCalibrated).toBeLessThan(logLossRaw - 0.02);
    expect(calibrationErrorRaw).toBeGreaterThan(0.06);
    expect(calibrationErrorCalibrated).toBeLessThan(0.03);
  });

  it('is the score itself where the days of the holdout show that the map is worse', () => {
    const random = seededRandom(2);
    const found = measureCalibration(SPEC, rows(random, 8_000, { shift: 0.8 }), holdout(rows(random, 8_000), 7));
    expect(found.map).toEqual({ method: 'identity', rows: 8_000, split: 'validation' });
    expect(found.reason).toMatch(
      /^the scores as they are, since the map of the validation split makes the holdout worse/,
    );
    expect(found.holdout!.logLossCalibrated).toBeGreaterThan(found.holdout!.logLossRaw);
  });

  it('keeps a map for a model that is calibrated already: a difference that days do not show is chance', () => {
    const random = seededRandom(3);
    const found = Array.from({ length: 40 }, () =>
      measureCalibration(SPEC, rows(random, 1_500), holdout(rows(random, 1_500), 7)),
    );
    const worse = found.filter(({ holdout: figures }) => figures!.logLossCalibrated > figures!.logLossRaw).length;
    expect(worse).toBeGreaterThan(15);
    // 5 % of them at most by the days' confidence, and a few more for what fitting a map costs.
    expect(found.filter(({ map }) => map?.method === 'identity').length).toBeLessThanOrEqual(6);
  });

  it('goes by the sign of the difference where there are too few days', () => {
    const random = seededRandom(4);
    const [better, worse] = [{ slope: 2 }, { shift: 0.8 }].map((options) =>
      measureCalibration(
        SPEC,
        rows(random, 4_000, options),
        holdout(rows(random, 4_000, { slope: options.slope ?? 1 }), 2),
      ),
    );
    expect([better!.map?.method, worse!.map?.method]).toEqual(['isotonic', 'identity']);
  });

  it('is none, with the reason, where there are no rows, or scores that are no probabilities', () => {
    const none = { scores: new Float32Array(), labels: new Float64Array() };
    const split = rows(seededRandom(5), 500);
    const reason = (validation: ScoredSplit, held = split) =>
      measureCalibration(SPEC, validation, holdout(held, 5)).reason;
    expect(reason(none)).toBe('the validation split has no rows; a map needs 50 of each');
    const wrong = { ...split, scores: split.scores.map((score) => score * 10) };
    expect(reason(wrong)).toMatch(/^\d+ of 500 validation rows get a score that is no probability$/);
    expect(reason(split, wrong)).toMatch(/^\d+ of 500 holdout rows get a score that is no probability$/);
  });
});
