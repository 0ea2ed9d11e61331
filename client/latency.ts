/** How long calls took, one after the other. */
export interface Latency {
  readonly calls: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const WARM_UP_CALLS = 20;

/** Calls for at most so long, and so often, after a warm-up that does not count. */
export async function measureLatency(
  call: (turn: number) => Promise<unknown>,
  limits: { readonly calls: number; readonly forMs: number },
): Promise<Latency> {
  for (let turn = 0; turn < WARM_UP_CALLS; turn += 1) await call(turn);
  const tookMs: number[] = [];
  const endsMs = performance.now() + limits.forMs;
  while (tookMs.length < limits.calls && performance.now() < endsMs) {
    const startedMs = performance.now();
    await call(tookMs.length);
    tookMs.push(performance.now() - startedMs);
  }
  const sorted = tookMs.sort((a, b) => a - b);
  const at = (fraction: number): number => sorted[Math.min(sorted.length - 1, Math.floor(fraction * sorted.length))]!;
  return { calls: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99) };
}
