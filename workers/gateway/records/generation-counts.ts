import type { ModelName } from '../../../workflows/domain/names';
import type { ArmCounts, ObservationDocument, WindowRow } from '../../../workflows/domain/observation';
import { eventSpan } from '../../../workflows/domain/event-span';
import { WINDOW_MS } from '../../../workflows/domain/observation';
import type { ArmName } from '../../../workflows/domain/route';
import { PairedWindows } from './paired-windows';
import { ReachedTime } from './reached-time';

export const ARM_NAMES: readonly ArmName[] = ['champion', 'challenger'];
/** Index into ARM_NAMES. */
export type ArmIndex = 0 | 1;

/** Rows of `windows` in one document; when there are more, windows are made twice as long. */
export const MAX_WINDOW_ROWS = 512;

/**
 * A request that is later than so much behind what others have reached is counted, but in no window: a rollout of a day needs no
 * windows of 1970, and there is room for so many.
 */
export const MAX_LATENESS_MS = 86_400_000;

interface Tally {
  requests: number;
  errors: number;
  keys: number;
  errorKeys: number;
  latencyMsSum: number;
}

/** What is known of a generation: cumulative, so that a lost or repeated put changes nothing. */
export class GenerationCounts {
  private readonly tallies: readonly [Tally, Tally] = [newTally(), newTally()];
  private windows = new Map<number, { requests: number; errors: number }>();
  private windowMs = WINDOW_MS;
  private readonly paired = { keys: 0, sumAbsDifference: 0, sumSquaredDifference: 0 };
  private pairedWindows = new PairedWindows();
  private watermarkMs: number | null = null;
  private reached: ReachedTime;
  /** Grows with every change: what was published is compared with it. */
  revision = 0;

  constructor(
    readonly model: ModelName,
    readonly generation: number,
    /** What the requests of the generation before had reached, epoch ms. */
    reachedMs: number | null = null,
    /** ISO; undefined where a gateway from before this field began it. */
    readonly openedAt?: string,
  ) {
    this.reached = new ReachedTime(reachedMs);
  }

  /** How far its requests have come, but for a few, epoch ms; null before that many. */
  get reachedMs(): number | null {
    return this.reached.ms;
  }

  /** One answered request of an arm. `atMs` is its time in the route's clock, `isNewKey` whether its key was met for the first time. */
  countAnswer(arm: ArmIndex, isError: boolean, isNewKey: boolean, atMs: number, latencyMs: number): void {
    const tally = this.tallies[arm];
    tally.requests += 1;
    tally.latencyMsSum += latencyMs;
    if (isError) tally.errors += 1;
    if (isNewKey) {
      tally.keys += 1;
      if (isError) tally.errorKeys += 1;
    }
    if (this.watermarkMs === null || atMs > this.watermarkMs) this.watermarkMs = atMs;
    this.reached.add(atMs);
    if (!this.isTooLate(atMs)) this.countWindow(arm, isError, atMs);
    this.revision += 1;
  }

  /** One key's first request that both arms scored, at its time in the route's clock. */
  countPair(difference: number, atMs: number): void {
    this.paired.keys += 1;
    this.paired.sumAbsDifference += Math.abs(difference);
    this.paired.sumSquaredDifference += difference * difference;
    if (!this.isTooLate(atMs)) this.pairedWindows.count(difference, atMs);
    this.revision += 1;
  }

  requestsOf(arm: ArmIndex): number {
    return this.tallies[arm].requests;
  }

  errorsOf(arm: ArmIndex): number {
    return this.tallies[arm].errors;
  }

  document(about: {
    gateway: string;
    incarnation: string;
    updatedAt: string;
    lostAtMost: number;
  }): ObservationDocument {
    const arms: Partial<Record<ArmName, ArmCounts>> = {};
    ARM_NAMES.forEach((name, index) => {
      const tally = this.tallies[index as ArmIndex];
      if (tally.requests > 0) arms[name] = { ...tally };
    });
    return {
      schema: 'slipway.observation/1',
      model: this.model,
      generation: this.generation,
      ...about,
      ...(this.openedAt === undefined ? {} : { openedAt: this.openedAt }),
      watermarkMs: this.watermarkMs,
      arms,
      windows: this.windowRows(),
      windowMs: this.windowMs,
      paired: { ...this.paired },
      pairedWindows: this.pairedWindows.rows(),
      pairedWindowMs: this.pairedWindows.lengthMs,
    };
  }

  /** Takes up a document of an earlier snapshot, before anything else was counted. */
  static fromDocument(document: ObservationDocument): GenerationCounts {
    const counts = new GenerationCounts(document.model, document.generation, null, document.openedAt);
    ARM_NAMES.forEach((name, index) => Object.assign(counts.tallies[index as ArmIndex], document.arms[name] ?? {}));
    Object.assign(counts.paired, document.paired);
    counts.pairedWindows = PairedWindows.fromDocument(document);
    counts.watermarkMs = document.watermarkMs;
    counts.reached = new ReachedTime(eventSpan([document])?.untilMs ?? null);
    counts.windowMs = document.windowMs ?? WINDOW_MS;
    for (const { startMs, arm, requests, errors } of document.windows) {
      counts.windows.set(startMs * 2 + ARM_NAMES.indexOf(arm), { requests, errors });
    }
    counts.revision = 1;
    return counts;
  }

  private isTooLate(atMs: number): boolean {
    const reachedMs = this.reached.ms;
    return reachedMs !== null && atMs < reachedMs - MAX_LATENESS_MS;
  }

  private countWindow(arm: ArmIndex, isError: boolean, atMs: number): void {
    const key = Math.floor(atMs / this.windowMs) * this.windowMs * 2 + arm;
    const window = this.windows.get(key);
    if (window) {
      window.requests += 1;
      if (isError) window.errors += 1;
      return;
    }
    this.windows.set(key, { requests: 1, errors: isError ? 1 : 0 });
    while (this.windows.size > MAX_WINDOW_ROWS) this.coarsen();
  }

  private coarsen(): void {
    this.windowMs *= 2;
    const merged = new Map<number, { requests: number; errors: number }>();
    for (const [key, window] of this.windows) {
      const arm = Math.abs(key % 2);
      const start = Math.floor((key - arm) / 2 / this.windowMs) * this.windowMs;
      const into = merged.get(start * 2 + arm);
      if (into) {
        into.requests += window.requests;
        into.errors += window.errors;
      } else merged.set(start * 2 + arm, { ...window });
    }
    this.windows = merged;
  }

  private windowRows(): WindowRow[] {
    return [...this.windows]
      .sort(([a], [b]) => a - b)
      .map(([key, { requests, errors }]) => {
        const arm = Math.abs(key % 2);
        return { startMs: (key - arm) / 2, arm: ARM_NAMES[arm]!, requests, errors };
      });
  }
}

function newTally(): Tally {
  return { requests: 0, errors: 0, keys: 0, errorKeys: 0, latencyMsSum: 0 };
}
