import type { PairedCounts, PairedWindowRow } from '../observation';

const DAY_MS = 86_400_000;

/** Paired scores of one whole day, or of as many as it took to gather enough keys. */
export interface DayBlock extends PairedCounts {
  readonly days: number;
}

/**
 * The days that are over by `untilMs`, counted from the first window on: wherever a rollout begins, each holds every hour of the
 * day alike. Callers come back, and a key counts at its first request only: a day with fewer than `minKeys` new keys is joined to
 * the next, whatever their scores, so that no handful of keys is taken for a day.
 */
export function wholeDays(windows: readonly PairedWindowRow[], untilMs: number | null, minKeys: number): DayBlock[] {
  const startMs = firstWindowMs(windows);
  if (startMs === null || untilMs === null) return [];
  const blocks: DayBlock[] = [];
  let open = { keys: 0, sumAbsDifference: 0, sumSquaredDifference: 0 };
  let begin = 0;
  for (const [day, counts] of byDay(windows, startMs, Math.floor((untilMs - startMs) / DAY_MS))) {
    open = addPairs(open, counts);
    if (open.keys < minKeys) continue;
    blocks.push({ days: day + 1 - begin, ...open });
    open = { keys: 0, sumAbsDifference: 0, sumSquaredDifference: 0 };
    begin = day + 1;
  }
  return blocks;
}

export function firstWindowMs(windows: readonly PairedWindowRow[]): number | null {
  return windows.reduce<number | null>((first, { startMs }) => Math.min(first ?? startMs, startMs), null);
}

export function addPairs(a: PairedCounts, b: PairedCounts): PairedCounts {
  return {
    keys: a.keys + b.keys,
    sumAbsDifference: a.sumAbsDifference + b.sumAbsDifference,
    sumSquaredDifference: a.sumSquaredDifference + b.sumSquaredDifference,
  };
}

/** Days with keys among the first `count`, in order. */
function byDay(windows: readonly PairedWindowRow[], startMs: number, count: number): [number, PairedCounts][] {
  const days = new Map<number, PairedCounts>();
  for (const window of windows) {
    const day = Math.floor((window.startMs - startMs) / DAY_MS);
    const before = days.get(day) ?? { keys: 0, sumAbsDifference: 0, sumSquaredDifference: 0 };
    if (day < count) days.set(day, addPairs(before, window));
  }
  return [...days].sort(([a], [b]) => a - b);
}
