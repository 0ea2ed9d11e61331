import {
  calibrationGap,
  judgeCalibration,
  type CalibrationDay,
} from '../../../workflows/domain/statistics/calibration-verdict';
import { judgeDefects, judgeVolume } from '../../../workflows/domain/statistics/data-quality';
import { normalFrom, seededRandom, type RandomSource } from '../../../workflows/domain/statistics/random';

const spec = { alpha: 0.05, maxGap: 0.04, consecutive: 2 };

describe('calibration of scores against matured labels', () => {
  it('is inconclusive on too few labels or days', () => {
    expect(judgeCalibration(spec, []).outcome).toBe('inconclusive');
    expect(judgeCalibration(spec, days([0.3, 0.3], 1_000)).outcome).toBe('inconclusive');
    expect(judgeCalibration(spec, days([0.3, 0.3, 0.3, 0.3], 10)).resolves).toBe(
      'at least 200 matured labels on 3 days',
    );
  });

  it('passes a gap within bounds and fails one beyond that all days share', () => {
    expect(judgeCalibration(spec, days([0.01, 0.03, -0.02, 0.05, 0.01, 0, 0.02], 500)).outcome).toBe('pass');
    const verdict = judgeCalibration(spec, days([0.05, 0.06, 0.04, 0.05, 0.07, 0.03, 0.05], 500));
    expect(verdict.outcome).toBe('fail');
    expect(verdict.statistic.value).toBeCloseTo(0.05, 10);
  });

  it('does not take one storm for decay', () => {
    const verdict = judgeCalibration(spec, days([-0.4, 0, 0.01, 0, -0.01, 0, 0.02], 500));
    expect([verdict.outcome, verdict.resolves]).toEqual([
      'inconclusive',
      'more days: the gap may come from a few of them',
    ]);
  });

  it('has an interval that covers at its level when rows of a day err together', () => {
    const random = seededRandom(23);
    let covered = 0;
    for (let set = 0; set < 2_000; set += 1) {
      const { gap, halfWidth } = calibrationGap(clusteredDays(random, 7), 0.05)!;
      if (Math.abs(gap) <= halfWidth) covered += 1;
    }
    expect(covered / 2_000).toBeGreaterThan(0.93);
  });
});

describe('data quality of a window', () => {
  it('fails a share of defects that is surely above what is tolerated', () => {
    expect(judgeDefects({ check: 'range:distance', rows: 1_000, defects: 60, expected: 0 }).outcome).toBe('fail');
    expect(judgeDefects({ check: 'range:distance', rows: 1_000, defects: 12, expected: 0 }).outcome).toBe('pass');
    expect(judgeDefects({ check: 'missing:distance', rows: 1_000, defects: 120, expected: 0.1 }).outcome).toBe('pass');
    expect(judgeDefects({ check: 'missing:distance', rows: 20, defects: 20, expected: 0 }).outcome).toBe(
      'inconclusive',
    );
  });

  it('tells a broken feed from a quiet day, and from a first window', () => {
    expect(judgeVolume(0, []).outcome).toBe('inconclusive');
    expect(judgeVolume(5, []).outcome).toBe('pass');
    expect(judgeVolume(300, [1_000, 1_100, 900]).outcome).toBe('pass');
    expect(judgeVolume(40, [1_000, 1_100, 900]).outcome).toBe('fail');
  });
});

function days(gaps: readonly number[], rows: number): CalibrationDay[] {
  return gaps.map((gap, at) => ({ day: `day ${at}`, rows, scoreSum: rows * (0.2 + gap), labelSum: rows * 0.2 }));
}

function clusteredDays(random: RandomSource, count: number): CalibrationDay[] {
  return Array.from({ length: count }, (_, at) => {
    const rows = 300 + Math.floor(random() * 200);
    return { day: `day ${at}`, rows, scoreSum: rows * (0.2 + 0.05 * normalFrom(random)), labelSum: rows * 0.2 };
  });
}
