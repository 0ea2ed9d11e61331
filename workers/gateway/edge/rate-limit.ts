import type { Rate } from './gateway-file';

/** Buckets kept at most; callers and models are of registries, so that this is not reached. */
const MAX_BUCKETS = 100_000;

/**
 * Quotas by caller and model: the virtual scheduling form of the generic cell rate algorithm (ITU-T I.371), one number each.
 * A caller who waited may send `burst` at once, then `perSecond`.
 */
export class RateLimits {
  /** Instant, ms, at which the bucket would be empty of debt. */
  private readonly buckets = new Map<string, number>();

  constructor(private readonly nowMs: () => number) {}

  /** 0 where the request may pass and is counted; else the milliseconds after which it could. */
  take(caller: string, model: string, { perSecond, burst }: Rate): number {
    const key = `${caller} ${model}`;
    const nowMs = this.nowMs();
    const stepMs = 1_000 / perSecond;
    const dueMs = Math.max(this.buckets.get(key) ?? 0, nowMs);
    const aheadMs = dueMs - nowMs - (burst - 1) * stepMs;
    if (aheadMs > 0.001) return aheadMs;
    if (this.buckets.size >= MAX_BUCKETS && !this.buckets.has(key)) this.forgetIdle(nowMs);
    this.buckets.set(key, dueMs + stepMs);
    return 0;
  }

  private forgetIdle(nowMs: number): void {
    for (const [key, dueMs] of this.buckets) if (dueMs <= nowMs) this.buckets.delete(key);
  }
}
