import fc from 'fast-check';
import { median, quantile, ratiosOf, scaled, spreadOf } from '../../bench/gateway/statistics';

describe('the statistics of rounds', () => {
  it('are median, lowest and highest', () => {
    expect(spreadOf([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 });
    expect(spreadOf([4, 1, 2, 3])).toEqual({ median: 2.5, min: 1, max: 4 });
    expect(scaled({ median: 2, min: 1, max: 3 }, 10)).toEqual({ median: 20, min: 10, max: 30 });
  });

  it('are ratios round by round, not of the medians', () => {
    expect(ratiosOf([10, 40, 30], [10, 20, 10])).toEqual({ median: 2, min: 1, max: 3 });
  });

  it('leave the values in their order', () => {
    const values = [3, 1, 2];
    median(values);
    quantile(values, 0.5);
    expect(values).toEqual([3, 1, 2]);
  });

  it('refuse to make a figure of nothing, or of rounds that do not match', () => {
    expect(() => median([])).toThrow(RangeError);
    expect(() => quantile([], 0.5)).toThrow(RangeError);
    expect(() => ratiosOf([1, 2], [1])).toThrow(RangeError);
  });

  it('take a quantile that at least its share of the values does not pass, and no smaller value would do', () => {
    const values = fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 1 });
    fc.assert(
      fc.property(values, fc.constantFrom(0, 0.1, 0.5, 0.9, 0.99, 1), (all, q) => {
        const found = quantile(all, q);
        const share = (limit: number): number => all.filter((value) => value <= limit).length / all.length;
        expect(share(found)).toBeGreaterThanOrEqual(q);
        expect(found === Math.min(...all) || share(found - 1) < q).toBe(true);
      }),
    );
  });
});
