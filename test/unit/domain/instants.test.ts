import { sayDuration, sayInstant } from '../../../workflows/domain/instants';

describe('an instant for people', () => {
  it.each([
    ['2001-03-25T00:00:00.000Z', '2001-03-25'],
    ['2001-03-25T00:00:00Z', '2001-03-25'],
    ['2026-11-24T00:43:12.345Z', '2026-11-24 00:43 UTC'],
    ['2001-03-25', '2001-03-25'],
    ['2001-03-25T00:00:00+02:00', '2001-03-25T00:00:00+02:00'],
  ])('%s is %s', (instant, said) => expect(sayInstant(instant)).toBe(said));
});

describe('a duration for people', () => {
  it.each([
    [3 * 86_400_000, '3 days'],
    [3_600_000, '1 hour'],
    [90 * 60_000, '90 minutes'],
    [1500, '1500 ms'],
  ])('%d ms is %s', (durationMs, said) => expect(sayDuration(durationMs)).toBe(said));
});
