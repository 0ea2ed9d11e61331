import {
  type ObservationDocument,
  PAIRED_WINDOW_MS,
  type PairedWindowRow,
} from '../../../workflows/domain/observation';

/** Rows in one document: three weeks of hours. When there are more, a row becomes a day, then two, and so on. */
export const MAX_PAIRED_ROWS = 512;
const DAY_MS = 86_400_000;

interface Sums {
  keys: number;
  sumAbsDifference: number;
  sumSquaredDifference: number;
}

/**
 * Paired differences by window. Windows longer than an hour are whole days from the first hour on, so that each of them still
 * holds every hour of the day alike.
 */
export class PairedWindows {
  private windows = new Map<number, Sums>();
  private originMs: number | null = null;

  constructor(private windowMs = PAIRED_WINDOW_MS) {}

  get lengthMs(): number {
    return this.windowMs;
  }

  count(difference: number, atMs: number): void {
    this.originMs ??= Math.floor(atMs / PAIRED_WINDOW_MS) * PAIRED_WINDOW_MS;
    this.add(atMs, { keys: 1, sumAbsDifference: Math.abs(difference), sumSquaredDifference: difference * difference });
    while (this.windows.size > MAX_PAIRED_ROWS) this.coarsen();
  }

  rows(): PairedWindowRow[] {
    return [...this.windows].sort(([a], [b]) => a - b).map(([startMs, sums]) => ({ startMs, ...sums }));
  }

  /** Takes up a document of an earlier snapshot. */
  static fromDocument({ pairedWindows = [], pairedWindowMs }: ObservationDocument): PairedWindows {
    const taken = new PairedWindows(pairedWindowMs);
    taken.originMs = pairedWindows[0]?.startMs ?? null;
    for (const { startMs, ...sums } of pairedWindows) taken.add(startMs, sums);
    return taken;
  }

  private add(atMs: number, sums: Sums): void {
    const originMs = this.originMs ?? 0;
    const startMs = originMs + Math.floor((atMs - originMs) / this.windowMs) * this.windowMs;
    const window = this.windows.get(startMs);
    if (window) {
      window.keys += sums.keys;
      window.sumAbsDifference += sums.sumAbsDifference;
      window.sumSquaredDifference += sums.sumSquaredDifference;
    } else this.windows.set(startMs, { ...sums });
  }

  private coarsen(): void {
    const finer = this.windows;
    this.windowMs = this.windowMs < DAY_MS ? DAY_MS : 2 * this.windowMs;
    this.windows = new Map();
    for (const [startMs, sums] of finer) this.add(startMs, sums);
  }
}
