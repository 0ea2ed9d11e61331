import fc from 'fast-check';
import { seededRandom } from '../../../workflows/domain/statistics/random';
import {
  additivePartsOf,
  attributeAdditive,
  attributeBySampling,
  attributeExactly,
  type Background,
  backgroundOf,
  type Evaluate,
  isEnumerable,
  type Row,
} from '../../../workers/gateway/explain/shapley';

type Model = (row: readonly number[]) => number;

const evaluateWith =
  (model: Model): Evaluate =>
  (rows) =>
    Promise.resolve(Float64Array.from(rows as number[][], (row) => model(row)));

const randomRows = (count: number, features: number, seed: number): number[][] => {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => Array.from({ length: features }, () => 2 * random() - 1));
};

/** Shapley values by their first definition: the mean gain of each feature over all orders, and all background rows. */
function byDefinition(model: Model, row: Row, background: Background): number[] {
  const orders = permutations(row.map((_, feature) => feature));
  const totals = row.map(() => 0);
  for (const start of background.rows as number[][]) {
    for (const order of orders) {
      const current = [...start];
      for (const feature of order) {
        const before = model(current);
        current[feature] = row[feature] as number;
        totals[feature]! += model(current) - before;
      }
    }
  }
  return totals.map((total) => total / (orders.length * background.rows.length));
}

function permutations(items: number[]): number[][] {
  if (items.length < 2) return [items];
  return items.flatMap((item) => permutations(items.filter((other) => other !== item)).map((rest) => [item, ...rest]));
}

const curved: Model = ([a, b, c, d]) => a! * b! + Math.sin(3 * c!) * a! + d! ** 2 - b! * c! * d!;
const linear: Model = (row) => row.reduce((sum, value, feature) => sum + (feature + 1) * value, 0.5);
const sum = (values: Iterable<number>): number => [...values].reduce((total, value) => total + value, 0);

describe('attributions of a score to its features', () => {
  it('are the Shapley values by definition, where all coalitions are evaluated', async () => {
    const evaluate = evaluateWith(curved);
    const background = await backgroundOf(randomRows(3, 4, 1), evaluate);
    for (const row of randomRows(5, 4, 2)) {
      const { contributions, errors } = await attributeExactly(row, curved(row), background, evaluate);
      const expected = byDefinition(curved, row, background);
      contributions.forEach((own, feature) => expect(own).toBeCloseTo(expected[feature]!, 10));
      expect([...errors]).toEqual([0, 0, 0, 0]);
    }
  });

  it('are exact for an additive model with one evaluation a feature', async () => {
    const features = 30;
    const coefficient = (feature: number): number => feature + 1;
    let evaluated = 0;
    const evaluate: Evaluate = (rows) => {
      evaluated += rows.length;
      return evaluateWith(linear)(rows);
    };
    const background = await backgroundOf(randomRows(16, features, 3), evaluate);
    const parts = await additivePartsOf(background, evaluate);
    const [row] = randomRows(1, features, 4) as [number[]];
    evaluated = 0;
    const { contributions } = await attributeAdditive(row, linear(row), background, parts!, evaluate);
    expect(evaluated).toBe(features);
    contributions.forEach((own, feature) => {
      const mean = sum((background.rows as number[][]).map((other) => other[feature]!)) / background.rows.length;
      expect(own).toBeCloseTo(coefficient(feature) * (row[feature]! - mean), 9);
    });
  });

  it('find out that a model with interactions is not additive', async () => {
    const evaluate = evaluateWith(curved);
    expect(await additivePartsOf(await backgroundOf(randomRows(8, 4, 5), evaluate), evaluate)).toBeNull();
  });

  it('sum to the difference from the base, however they were found', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.integer({ min: 16, max: 400 }), async (seed, evaluations) => {
        const evaluate = evaluateWith(curved);
        const background = await backgroundOf(randomRows(5, 4, seed), evaluate);
        const [row] = randomRows(1, 4, seed + 1) as [number[]];
        const random = seededRandom(seed);
        const options = { evaluations, random, evaluate };
        for (const { base, value, contributions } of [
          await attributeExactly(row, curved(row), background, evaluate),
          await attributeBySampling(row, curved(row), background, options),
        ]) {
          expect(sum(contributions)).toBeCloseTo(value - base, 9);
        }
      }),
      { numRuns: 50, seed: 6 },
    );
  });

  it('keep to their stated error when sampled: twice it holds the exact value in about 19 of 20', async () => {
    const evaluate = evaluateWith(curved);
    const background = await backgroundOf(randomRows(8, 4, 7), evaluate);
    let held = 0;
    let all = 0;
    for (const [index, row] of randomRows(60, 4, 8).entries()) {
      const exact = await attributeExactly(row, curved(row), background, evaluate);
      const random = seededRandom(1_000 + index);
      // Whole rounds over the background, whose rows are taken in turn.
      const sampled = await attributeBySampling(row, curved(row), background, {
        evaluations: 6 * 64,
        random,
        evaluate,
      });
      exact.contributions.forEach((own, feature) => {
        all += 1;
        if (Math.abs(own - sampled.contributions[feature]!) <= 2 * sampled.errors[feature]!) held += 1;
      });
    }
    expect(held / all).toBeGreaterThan(0.9);
    expect(all).toBe(240);
  });

  it('never evaluate more than the budget when sampled, from the smallest on that gives an error', async () => {
    const [row] = randomRows(1, 4, 9) as [number[]];
    for (const evaluations of [12, 16, 100, 255, 256]) {
      let evaluated = 0;
      const evaluate: Evaluate = (rows) => {
        evaluated += rows.length;
        return evaluateWith(curved)(rows);
      };
      const background = await backgroundOf(randomRows(4, 4, 10), evaluate);
      evaluated = 0;
      await attributeBySampling(row, curved(row), background, { evaluations, random: seededRandom(1), evaluate });
      expect(evaluated).toBeLessThanOrEqual(evaluations);
      expect(isEnumerable(4, background, evaluations)).toBe(evaluations >= 64);
    }
  });

  it('give a feature that changes nothing nothing', async () => {
    const model: Model = ([a, b]) => Math.exp(a!) * b!;
    const evaluate = evaluateWith(model);
    const background = await backgroundOf(randomRows(6, 3, 11), evaluate);
    const [row] = randomRows(1, 3, 12) as [number[]];
    const options = { evaluations: 64, random: seededRandom(1), evaluate };
    expect((await attributeExactly(row, model(row), background, evaluate)).contributions[2]).toBeCloseTo(0, 12);
    const { contributions, errors } = await attributeBySampling(row, model(row), background, options);
    expect([contributions[2], errors[2]]).toEqual([0, 0]);
  });
});
