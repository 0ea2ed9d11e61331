import fc from 'fast-check';
import {
  applyCalibration,
  fitCalibration,
  type CalibrationMap,
} from '../../../workflows/domain/statistics/calibration-map';
import { measure } from '../../../workflows/domain/statistics/metrics';
import { normalFrom, seededRandom, type RandomSource } from '../../../workflows/domain/statistics/random';

interface Rows {
  readonly scores: Float32Array;
  readonly labels: Float64Array;
}

const sigmoid = (z: number): number => 1 / (1 + Math.exp(-z));

/** Labels follow sigmoid(z); the model says sigmoid(bent(z)). */
function simulate(random: RandomSource, rows: number, bent: (z: number) => number, mean = -1): Rows {
  const scores = new Float32Array(rows);
  const labels = new Float64Array(rows);
  for (let row = 0; row < rows; row += 1) {
    const z = mean + 1.5 * normalFrom(random);
    scores[row] = sigmoid(bent(z));
    labels[row] = random() < sigmoid(z) ? 1 : 0;
  }
  return { scores, labels };
}

function fit({ scores, labels }: Rows): CalibrationMap {
  const map = fitCalibration(scores, labels, 'validation');
  if (map.method === 'none') throw new Error(map.reason);
  return map;
}

function errors(map: CalibrationMap, { scores, labels }: Rows): { raw: number[]; calibrated: number[] } {
  const mapped = Float32Array.from(scores, (score) => applyCalibration(map, score));
  const both = (values: Float32Array) => [
    measure('calibrationError', values, labels)!,
    measure('logLoss', values, labels)!,
  ];
  return { raw: both(scores), calibrated: both(mapped) };
}

describe('a calibration map', () => {
  it.each([
    ['too sure of itself', (z: number) => 2 * z + 0.7, 30_000, 'isotonic'],
    ['bent where no sigmoid is', (z: number) => Math.max(z, -2) - 0.9, 30_000, 'isotonic'],
    ['too sure of itself, with few rows', (z: number) => 2 * z + 0.7, 1_500, 'platt'],
  ] as const)('takes the miscalibration out of a model that is %s', (_, bent, rows, method) => {
    const random = seededRandom(4);
    const map = fit(simulate(random, rows, bent));
    expect(map).toMatchObject({ method, rows, split: 'validation' });
    const { raw, calibrated } = errors(map, simulate(random, 30_000, bent));
    expect(raw[0]).toBeGreaterThan(0.08);
    expect(calibrated[0]).toBeLessThan(0.02);
    expect(calibrated[1]).toBeLessThan(raw[1]! - 0.03);
  });

  it('finds the sigmoid that labels were drawn from', () => {
    const map = fit(simulate(seededRandom(5), 3_000, (z) => 2 * z + 1, 1.5));
    // labels are sigmoid(z), and z is half the score's log odds less a half.
    if (map.method !== 'platt') throw new Error(map.method);
    expect(Math.abs(map.slope - 0.5)).toBeLessThan(0.05);
    expect(Math.abs(map.intercept + 0.5)).toBeLessThan(0.1);
  });

  it('costs a model that is calibrated already next to nothing', () => {
    const random = seededRandom(6);
    for (const rows of [1_000, 30_000]) {
      const { raw, calibrated } = errors(
        fit(simulate(random, rows, (z) => z)),
        simulate(random, 30_000, (z) => z),
      );
      expect(calibrated[1]! - raw[1]!).toBeLessThan(0.003);
    }
  });

  it('is a constant where scores order rows the wrong way round', () => {
    for (const rows of [600, 20_000]) {
      const map = fit(simulate(seededRandom(7), rows, (z) => -z));
      expect(applyCalibration(map, 0.99)).toBe(applyCalibration(map, 0.01));
    }
  });

  it('is small, and never falls, where every row has a score of its own', () => {
    const scores = Float64Array.from({ length: 20_000 }, (_, row) => row / 20_000);
    const random = seededRandom(8);
    const map = fitCalibration(
      scores,
      scores.map((score) => (random() < score ? 1 : 0)),
      'validation',
    );
    if (map.method !== 'isotonic') throw new Error(map.method);
    expect(map.scores.length).toBeLessThanOrEqual(64);
    expect(map.scores.length).toBeGreaterThan(20);
    expect(map.scores.every((score, at) => at === 0 || score > map.scores[at - 1]!)).toBe(true);
    expect(map.probabilities.every((value, at) => at === 0 || value > map.probabilities[at - 1]!)).toBe(true);
  });

  it('says why there is none', () => {
    expect(fitCalibration([], [], 'validation')).toEqual({
      method: 'none',
      reason: 'the validation split has no rows; a map needs 50 of each',
    });
    const labels = Array.from({ length: 500 }, (_, row) => (row < 49 ? 1 : 0));
    expect(
      fitCalibration(
        labels.map(() => 0.2),
        labels,
        'validation',
      ),
    ).toMatchObject({ reason: expect.stringContaining('49 rows with label 1 and 451 with label 0') as string });
  });

  it('goes from knot to knot in straight lines, and stays level beyond the last', () => {
    const source = { rows: 2_000, split: 'validation' } as const;
    const map = { method: 'isotonic', scores: [0.25, 0.75], probabilities: [0.1, 0.3], ...source } as const;
    const at = [0, 0.25, 0.5, 0.625, 0.75, 1].map((score) => Number(applyCalibration(map, score).toFixed(12)));
    expect(at).toEqual([0.1, 0.1, 0.2, 0.25, 0.3, 0.3]);
  });
});

const coarse = fc.integer({ min: 0, max: 40 }).map((at) => at / 40);
const fine = fc.double({ min: 0, max: 1, noNaN: true });
/** Tables of both methods: few rows or many, scores that repeat or not, labels that follow them or not. */
const table = fc
  .record({
    seed: fc.integer(),
    rows: fc.constantFrom(400, 6_000),
    step: fc.constantFrom(0, 0.02, 0.5),
    follows: fc.boolean(),
  })
  .map(({ seed, rows, step, follows }) => {
    const random = seededRandom(seed);
    return Array.from({ length: rows }, () => {
      const score = step === 0 ? random() : Math.round(random() / step) * step;
      return [score, random() < (follows ? score : 0.5) ? 1 : 0] as const;
    });
  });

function fitTable(rows: readonly (readonly [number, number])[]): CalibrationMap {
  return fit({
    scores: Float32Array.from(rows, ([score]) => score),
    labels: Float64Array.from(rows, ([, label]) => label),
  });
}

describe('any calibration map', () => {
  it('never falls, and is never certain, also as the 32-bit number that is answered', () => {
    fc.assert(
      fc.property(table, fc.array(fc.oneof(coarse, fine), { minLength: 2, maxLength: 50 }), (rows, scores) => {
        const map = fitTable(rows);
        const ascending = [...scores, 0, 1].sort((a, b) => a - b);
        const values = ascending.map((score) => Math.fround(applyCalibration(map, score)));
        expect(values.every((value, at) => value > 0 && value < 1 && (at === 0 || value >= values[at - 1]!))).toBe(
          true,
        );
      }),
      { numRuns: 60 },
    );
  });

  it('does not depend on the order of rows', () => {
    fc.assert(
      fc.property(table, fc.integer(), (rows, seed) => {
        const random = seededRandom(seed);
        const shuffled = rows
          .map((row) => ({ row, at: random() }))
          .sort((a, b) => a.at - b.at)
          .map(({ row }) => row);
        expect(fitTable(shuffled)).toEqual(fitTable(rows));
      }),
      { numRuns: 30 },
    );
  });
});
