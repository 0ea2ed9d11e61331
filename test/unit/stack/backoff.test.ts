import { countDeath, RESTART_BACKOFF, restartDelayMs } from '../../../workers/stack/backoff';

describe('the delay before a dead child is started again', () => {
  it('doubles with each early death, up to ten seconds', () => {
    const delays = [1, 2, 3, 4, 5, 6, 7, 20].map((deaths) => restartDelayMs(RESTART_BACKOFF, deaths));
    expect(delays).toEqual([200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
  });

  it('starts over after a stable life', () => {
    expect(countDeath(RESTART_BACKOFF, 5, RESTART_BACKOFF.stableMs - 1)).toBe(6);
    expect(countDeath(RESTART_BACKOFF, 5, RESTART_BACKOFF.stableMs)).toBe(1);
  });
});
