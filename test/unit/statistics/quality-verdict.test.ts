import type { QualityCheckSpec } from '../../../workflows/domain/spec';
import { advantageSeries, type PairedDay } from '../../../workflows/domain/statistics/paired-days';
import { judgeQuality } from '../../../workflows/domain/statistics/quality-verdict';
import { normalFrom, seededRandom, type RandomSource } from '../../../workflows/domain/statistics/random';
import type { Outcome } from '../../../workflows/domain/verdict';

const better: QualityCheckSpec = { metric: 'logLoss', require: 'better', margin: 0.01, alpha: 0.05, minDays: 5 };
const notWorse: QualityCheckSpec = { ...better, require: 'notWorse' };

describe('paired quality by matured day', () => {
  it('is inconclusive without days, and says what is missing', () => {
    const verdict = judgeQuality(better, []);
    expect([verdict.outcome, verdict.resolves]).toEqual(['inconclusive', 'matured labels: at least 5 days']);
  });

  it('passes a challenger that wins by 4 % each day, not before the days asked for', () => {
    const days = fixedDays(12, 0.04);
    const outcomes = days.map((_, at) => judgeQuality(better, days.slice(0, at + 1)).outcome);
    expect(outcomes.indexOf('pass')).toBeGreaterThanOrEqual(4);
    expect(outcomes.indexOf('pass')).toBeLessThanOrEqual(8);
    const last = judgeQuality(better, days);
    expect(last.detail).toBe('challenger has 4.00 % less logLoss than the champion over 12 matured days');
    expect(last.counts).toEqual({ days: 12, rows: 12_000, daysBetter: 12 });
  });

  it('fails one that loses 12 % a day within ten days', () => {
    const days = fixedDays(10, -0.12);
    const outcomes = days.map((_, at) => judgeQuality(better, days.slice(0, at + 1)).outcome);
    expect(outcomes).toContain('fail');
    expect(outcomes).not.toContain('pass');
  });

  it('passes an equal challenger only where it need not be better', () => {
    const days = fixedDays(60, 0);
    expect(judgeQuality(better, days).outcome).toBe('inconclusive');
    expect(judgeQuality(better, days).resolves).toBe('the arms are too alike to tell on matured labels');
    expect(judgeQuality(notWorse, days).outcome).toBe('pass');
  });

  it('does not let one freak day decide', () => {
    expect(judgeQuality({ ...better, minDays: 1 }, fixedDays(1, 0.9)).outcome).toBe('inconclusive');
    expect(judgeQuality(better, fixedDays(1, -9)).outcome).toBe('inconclusive');
  });

  it('shows a confidence sequence whose lower bound leaves zero when the verdict passes', () => {
    const days = simulatedDays(seededRandom(4), 30, 0.027, 0.018);
    const passesAt = days.findIndex(
      (_, at) => judgeQuality({ ...better, minDays: 1 }, days.slice(0, at + 1)).outcome === 'pass',
    );
    const leavesZeroAt = advantageSeries(days, 0.05, 0.04).findIndex(({ lower }) => lower > 0);
    expect(passesAt).toBeGreaterThan(0);
    expect(leavesZeroAt).toBe(passesAt);
  });
});

describe('paired quality by simulation', () => {
  it.each([
    { spec: better, mean: 0, sd: 0.02, wrong: 'pass' },
    { spec: better, mean: 0, sd: 0.05, wrong: 'pass' },
    { spec: notWorse, mean: -0.01, sd: 0.02, wrong: 'pass' },
    { spec: better, mean: -0.01, sd: 0.02, wrong: 'fail' },
  ] as const)(
    'gives a wrong $wrong in fewer than 5 % of rollouts with mean $mean and sd $sd',
    ({ spec, mean, sd, wrong }) => {
      const random = seededRandom(31);
      const replications = 1_000;
      let errors = 0;
      for (let replication = 0; replication < replications; replication += 1) {
        if (decisionOf(spec, simulatedDays(random, 40, mean, sd)).outcome === wrong) errors += 1;
      }
      expect(errors / replications).toBeLessThan(0.05);
    },
  );

  it('keeps its rate for days that are mostly slightly good and sometimes very bad', () => {
    const random = seededRandom(13);
    let passes = 0;
    for (let replication = 0; replication < 500; replication += 1) {
      const days = Array.from({ length: 40 }, (_, at) => pairedDay(at, random() < 0.2 ? -0.04 : 0.01));
      if (decisionOf(better, days).outcome === 'pass') passes += 1;
    }
    expect(passes / 500).toBeLessThan(0.05);
  });

  it('passes the real challenger (2.7 % better, on 29 of 31 days) at a median of 8 to 12 days', () => {
    const random = seededRandom(29);
    const decisions = Array.from({ length: 101 }, () => decisionOf(better, simulatedDays(random, 31, 0.027, 0.018)));
    const days = decisions
      .map(({ outcome, days: after }) => (outcome === 'pass' ? after : Infinity))
      .sort((a, b) => a - b);
    expect(days[50]).toBeGreaterThanOrEqual(8);
    expect(days[50]).toBeLessThanOrEqual(12);
    expect(days.filter((after) => after <= 31).length).toBeGreaterThan(95);
  });

  it('covers the mean at every day at once in at least 90 % of series', () => {
    const random = seededRandom(17);
    let covered = 0;
    for (let replication = 0; replication < 100; replication += 1) {
      const series = advantageSeries(simulatedDays(random, 20, 0.005, 0.01), 0.05, 0.04);
      if (series.every(({ lower, upper }) => lower <= 0.005 && upper >= 0.005)) covered += 1;
    }
    expect(covered / 100).toBeGreaterThanOrEqual(0.9);
  });
});

function decisionOf(spec: QualityCheckSpec, days: readonly PairedDay[]): { outcome: Outcome; days: number } {
  for (let count = spec.minDays; count <= days.length; count += 1) {
    const { outcome } = judgeQuality(spec, days.slice(0, count));
    if (outcome !== 'inconclusive') return { outcome, days: count };
  }
  return { outcome: 'inconclusive', days: days.length };
}

function simulatedDays(random: RandomSource, count: number, mean: number, sd: number): PairedDay[] {
  return Array.from({ length: count }, (_, at) => pairedDay(at, mean + sd * normalFrom(random)));
}

function fixedDays(count: number, advantage: number): PairedDay[] {
  return Array.from({ length: count }, (_, at) => pairedDay(at, advantage));
}

function pairedDay(at: number, advantage: number): PairedDay {
  return { day: `day ${at}`, rows: 1_000, championLoss: 0.5, challengerLoss: 0.5 * (1 - advantage) };
}
