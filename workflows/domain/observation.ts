import type { ModelName } from './names';
import type { ArmName } from './route';

/** Length of a counting window, in the route's clock. */
export const WINDOW_MS = 10_000;
/** Length of a window of paired scores: traffic differs by the hour, and 24 of them make a day wherever a rollout begins. */
export const PAIRED_WINDOW_MS = 3_600_000;

/**
 * Cumulative counts of one gateway incarnation for one route generation. A single writer puts it over and over; verdicts are made
 * from them as `counters.ts` says. A key is an assignment key, counted once per arm and rollout by each gateway: its incarnations
 * take the keys over from each other, other gateways do not know of them.
 */
export interface ObservationDocument {
  readonly schema: 'slipway.observation/1';
  readonly model: ModelName;
  readonly generation: number;
  readonly gateway: string;
  readonly incarnation: string;
  readonly updatedAt: string;
  /**
   * When this incarnation began to count the generation, by its own clock, ISO: before any request of it. Absent in documents of
   * gateways from before there was such a field.
   */
  readonly openedAt?: string;
  /** Largest event time among answered requests, epoch ms; null before the first. */
  readonly watermarkMs: number | null;
  readonly arms: Readonly<Partial<Record<ArmName, ArmCounts>>>;
  /** Requests by window start (epoch ms, multiple of WINDOW_MS) and arm, for charts and the realised share. */
  readonly windows: readonly WindowRow[];
  /** Length of these windows: WINDOW_MS, doubled each time that their number outgrew the document. Absent: WINDOW_MS. */
  readonly windowMs?: number;
  /** Both arms' scores on the same requests. */
  readonly paired: PairedCounts;
  /** The same by window, in the route's clock, for judging whole days; without keys that came later than a day behind the newest. */
  readonly pairedWindows?: readonly PairedWindowRow[];
  /** Length of these: PAIRED_WINDOW_MS, or where they were too many a day, then doubled. Absent: PAIRED_WINDOW_MS. */
  readonly pairedWindowMs?: number;
  /** Requests that may have been answered without being in these counts, after a crash: at most so many. */
  readonly lostAtMost: number;
}

export interface ArmCounts {
  readonly requests: number;
  readonly errors: number;
  /** Distinct keys, and those whose first request met an error: independent trials however often a caller comes back. */
  readonly keys: number;
  readonly errorKeys: number;
  readonly latencyMsSum: number;
}

export interface WindowRow {
  readonly startMs: number;
  readonly arm: ArmName;
  readonly requests: number;
  readonly errors: number;
}

export interface PairedCounts {
  /** Distinct keys whose first request both arms scored. */
  readonly keys: number;
  /** Over those first requests: sum of |champion - challenger|, and of its square. */
  readonly sumAbsDifference: number;
  readonly sumSquaredDifference: number;
}

/** A key is in the window of its first paired request, and in no other. */
export interface PairedWindowRow extends PairedCounts {
  /** Epoch ms. */
  readonly startMs: number;
}

/** A gateway took the challenger out: its breaker tripped, or its endpoint no longer answers as it was approved. */
export interface BreakerEvent {
  readonly schema: 'slipway.breaker/1';
  readonly model: ModelName;
  readonly generation: number;
  readonly gateway: string;
  readonly incarnation: string;
  readonly at: string;
  readonly requests: number;
  readonly errors: number;
  readonly reason: string;
  /** Absent: errors. `changed`: the answers of its endpoint to the release's samples. */
  readonly kind?: 'changed';
}
