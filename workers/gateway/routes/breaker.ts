/**
 * Cumulative-sum test (Page 1954) of "the challenger fails no more often than p0" against a rate of p1. Each excursion of
 * the sum is a sequential likelihood ratio, which passes the threshold log(N / alpha) with probability at most alpha / N
 * (Ville's inequality); over N requests that is alpha in all. A sum that starts again at zero, unlike one sequential
 * test, also finds an arm that begins to fail after a million good answers. With p0 at its floor an arm that
 * fails always is out after 8 requests, one that fails half of the time after 17 (median).
 */
const ALPHA = 1e-4;
const REQUESTS = 1_000_000;
const THRESHOLD = Math.log(REQUESTS / ALPHA);
const SMALLEST_FAILING_RATE = 0.2;
const FLOOR = 0.01;

/** Failure rate of the champion: three standard errors above what was seen, so that a shared cause trips nothing. */
export function toleratedRate(championRequests: number, championErrors: number): number {
  const trials = championRequests + 50;
  const rate = (championErrors + 0.5) / trials;
  const upper = rate + 3 * Math.sqrt((rate * (1 - rate)) / trials);
  // 50 pseudo-requests would read as 5 % before the champion was seen at all.
  return Math.min(0.5, Math.max(FLOOR, championErrors === 0 ? FLOOR : upper));
}

/** Takes a failing challenger out of one generation, and keeps it out. */
export class Breaker {
  private sum = 0;
  requests = 0;
  errors = 0;

  constructor(private tripped = false) {}

  get isTripped(): boolean {
    return this.tripped;
  }

  /** For a reason that is no error of a request. */
  trip(): void {
    this.tripped = true;
  }

  /** Counts one of the challenger's requests; true when this one trips the breaker. */
  record(isError: boolean, tolerated: number): boolean {
    if (this.tripped) return false;
    this.requests += 1;
    if (isError) this.errors += 1;
    const failing = Math.max(SMALLEST_FAILING_RATE, Math.min(0.9, 2.5 * tolerated));
    const step = isError ? Math.log(failing / tolerated) : Math.log((1 - failing) / (1 - tolerated));
    this.sum = Math.max(0, this.sum + step);
    this.tripped = this.sum >= THRESHOLD;
    return this.tripped;
  }
}
