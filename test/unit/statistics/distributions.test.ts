import {
  betaQuantile,
  chiSquareQuantile,
  normalCdf,
  normalQuantile,
  studentCdf,
  studentQuantile,
} from '../../../workflows/domain/statistics/distributions';
import { seededRandom } from '../../../workflows/domain/statistics/random';
import { betaI, logBeta, logGamma } from '../../../workflows/domain/statistics/special-functions';

describe('distributions against published tables', () => {
  it.each([
    [0.95, 1, 3.841459],
    [0.99, 9, 21.665994],
    [0.95, 11, 19.675138],
    [0.999, 50, 86.660815],
    [0.05, 5, 1.145476],
  ])('chi-square quantile of %f with %i degrees is %f', (p, degrees, expected) => {
    expect(chiSquareQuantile(p, degrees)).toBeCloseTo(expected, 5);
  });

  it.each([
    [0.975, 1.959964],
    [0.95, 1.644854],
    [0.001, -3.090232],
    [0.5, 0],
  ])('normal quantile of %f is %f', (p, expected) => {
    expect(normalQuantile(p)).toBeCloseTo(expected, 5);
    expect(normalCdf(expected)).toBeCloseTo(p, 6);
  });

  it.each([
    [0.975, 1, 12.706205],
    [0.95, 6, 1.94318],
    [0.95, 30, 1.697261],
  ])("Student's quantile of %f with %i degrees is %f", (p, degrees, expected) => {
    expect(studentQuantile(p, degrees)).toBeCloseTo(expected, 5);
    expect(studentCdf(-expected, degrees)).toBeCloseTo(1 - p, 6);
  });

  it('has the quantiles of Beta that can be worked out by hand', () => {
    expect(betaQuantile(0.3, 1, 1)).toBeCloseTo(0.3, 10);
    expect(betaQuantile(0.05, 1, 60)).toBeCloseTo(1 - 0.95 ** (1 / 60), 10);
    expect(betaI(0.5, 7, 7)).toBeCloseTo(0.5, 12);
  });

  it('has the factorials among its gamma values', () => {
    expect(logGamma(11)).toBeCloseTo(Math.log(3_628_800), 10);
    expect(logGamma(0.5)).toBeCloseTo(Math.log(Math.sqrt(Math.PI)), 10);
    expect(logBeta(3, 4)).toBeCloseTo(Math.log(1 / 60), 10);
  });
});

describe('seeded random source', () => {
  it('repeats for a seed, differs between seeds, and is even', () => {
    const first = seededRandom(1);
    const again = seededRandom(1);
    const other = seededRandom(2);
    const numbers = Array.from({ length: 20_000 }, first);
    expect(Array.from({ length: 3 }, again)).toEqual(numbers.slice(0, 3));
    expect(other()).not.toBe(numbers[0]);
    expect(numbers.reduce((sum, x) => sum + x, 0) / numbers.length).toBeCloseTo(0.5, 2);
  });
});
