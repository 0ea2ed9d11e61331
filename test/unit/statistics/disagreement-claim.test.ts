import { claimOf } from '../../../workflows/domain/disagreement-claim';

const hour = 3_600_000;
const day = 24 * hour;
const claims = (...lengths: number[]): string[] => {
  const steps = lengths.map((forMs, index) => ({ weight: (index + 1) / 10, forMs }));
  // The last one is the bake.
  return [...steps, null].map((_, step) => claimOf(steps, step));
};

describe('what a step has to show of disagreement', () => {
  it('is the mean day at the end of a rollout of days, and the days seen before', () => {
    expect(claims(3 * day, 6 * day)).toEqual(['days-seen', 'mean-day', 'mean-day']);
  });

  it('is no gross difference in hours, where later steps see days', () => {
    expect(claims(hour, 6 * hour, 7 * day)).toEqual(['not-gross', 'not-gross', 'mean-day', 'mean-day']);
  });

  it('is the whole day seen in a rollout of too few days', () => {
    expect(claims(hour, 6 * hour, day)).toEqual(['not-gross', 'not-gross', 'days-seen', 'days-seen']);
  });

  it('is the hours seen in a rollout shorter than a day', () => {
    expect(claims(60_000, 60_000)).toEqual(['hours-seen', 'hours-seen', 'hours-seen']);
  });

  it('grows with extensions', () => {
    expect(claimOf([{ weight: 0.1, forMs: 13 * hour }], 0, 1)).toBe('days-seen');
  });
});
