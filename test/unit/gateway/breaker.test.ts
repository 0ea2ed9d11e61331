import { Breaker, toleratedRate } from '../../../workers/gateway/routes/breaker';

/** Mulberry32 (public domain): fixed seeds, so that these numbers are the same everywhere. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Requests of the challenger until the breaker trips; null when it did not within `requests`. */
function tripAfter(
  rate: number,
  championRate: number,
  requests: number,
  next: () => number,
  goodBefore = 0,
): number | null {
  const breaker = new Breaker();
  let championRequests = 0;
  let championErrors = 0;
  for (let request = 1; request <= requests + goodBefore; request += 1) {
    for (let other = 0; other < 4; other += 1) {
      championRequests += 1;
      if (next() < championRate) championErrors += 1;
    }
    const isError = request > goodBefore && next() < rate;
    if (breaker.record(isError, toleratedRate(championRequests, championErrors))) return request - goodBefore;
  }
  return null;
}

describe('the local breaker', () => {
  it.each([
    ['always', 1, 0, 22],
    ['half of the time', 0.5, 0, 40],
    ['always after 10,000 good answers', 1, 10_000, 22],
  ])('takes out a challenger that fails %s', (_when, rate, goodBefore, within) => {
    const next = random(7);
    const trips = Array.from({ length: 50 }, () => tripAfter(rate, 0.001, 500, next, goodBefore));
    expect(trips.every((after) => after !== null && after <= within)).toBe(true);
  });

  it.each([
    ['0.5 %', 0.005],
    ['1 %', 0.01],
    ['3 %', 0.03],
    ['10 %', 0.1],
  ])('leaves a challenger that fails as often as the champion, %s, in peace', (_name, rate) => {
    const next = random(11);
    let trips = 0;
    for (let rollout = 0; rollout < 2_000; rollout += 1) if (tripAfter(rate, rate, 300, next) !== null) trips += 1;
    // One in 10,000 is promised: of 2,000 rollouts more than 2 would be a chance of 1 in 1,000.
    expect(trips).toBeLessThanOrEqual(2);
  });

  it('stays tripped', () => {
    const breaker = new Breaker();
    for (let request = 0; request < 30; request += 1) breaker.record(true, 0.01);
    expect([breaker.isTripped, breaker.record(false, 0.01), breaker.requests]).toEqual([true, false, 8]);
  });
});
