import type { Column } from './conversion';

/** At most so many rows go into one inference; a larger single request goes alone. */
export const MAX_BATCH_ROWS = 64;

/** One request's rows on their way to one session. */
export interface BatchItem {
  readonly columns: readonly Column[];
  readonly rows: number;
  /** `scores` is the whole batch's output; this item's begin at `offset`. Called once, with an error or with scores. */
  settle(error: string | null, scores: Float32Array, offset: number): void;
}

export interface Batch {
  readonly session: number;
  readonly items: BatchItem[];
  readonly rows: number;
}

/** Items that wait for one session. Drained from the front without shifting, so that a long queue costs nothing more. */
class Lane {
  private items: BatchItem[] = [];
  private head = 0;
  rows = 0;

  push(item: BatchItem): void {
    this.items.push(item);
    this.rows += item.rows;
  }

  get isEmpty(): boolean {
    return this.head === this.items.length;
  }

  take(maxRows: number): { items: BatchItem[]; rows: number } {
    const taken: BatchItem[] = [];
    let rows = 0;
    while (!this.isEmpty) {
      const item = this.items[this.head]!;
      if (taken.length > 0 && rows + item.rows > maxRows) break;
      taken.push(item);
      rows += item.rows;
      this.head += 1;
    }
    this.rows -= rows;
    if (this.head > 1_024 || this.isEmpty) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
    return { items: taken, rows };
  }
}

/** How many batches of callers may go before a batch of background work, when both wait. */
const FOREGROUND_PER_BACKGROUND = 4;

/**
 * Zero-delay micro-batching: whatever waits when a thread is free goes together, nothing waits for company. Sessions take
 * turns. Background work (paired and shadow scores) goes when no caller waits, and at least every fifth batch, so
 * that a busy gateway still compares its arms.
 */
export class BatchQueue {
  private readonly foreground = new Map<number, Lane>();
  private readonly background = new Map<number, Lane>();
  private sinceBackground = 0;
  foregroundRows = 0;
  backgroundRows = 0;

  push(session: number, item: BatchItem, background: boolean): void {
    const lanes = background ? this.background : this.foreground;
    let lane = lanes.get(session);
    if (!lane) lanes.set(session, (lane = new Lane()));
    lane.push(item);
    if (background) this.backgroundRows += item.rows;
    else this.foregroundRows += item.rows;
  }

  /** The next batch, or null where nothing waits. */
  next(): Batch | null {
    const backgroundFirst =
      this.backgroundRows > 0 && (this.foregroundRows === 0 || this.sinceBackground >= FOREGROUND_PER_BACKGROUND);
    if (backgroundFirst) {
      this.sinceBackground = 0;
      const batch = takeTurn(this.background);
      this.backgroundRows -= batch?.rows ?? 0;
      return batch;
    }
    const batch = takeTurn(this.foreground);
    this.foregroundRows -= batch?.rows ?? 0;
    this.sinceBackground += 1;
    return batch;
  }

  /** Takes everything that waits for a session, for sessions that end. */
  drain(session: number): BatchItem[] {
    const drained: BatchItem[] = [];
    for (const [lanes, isBackground] of [[this.foreground, false] as const, [this.background, true] as const]) {
      const taken = lanes.get(session)?.take(Infinity);
      lanes.delete(session);
      if (!taken) continue;
      drained.push(...taken.items);
      if (isBackground) this.backgroundRows -= taken.rows;
      else this.foregroundRows -= taken.rows;
    }
    return drained;
  }
}

/** Sessions in the order of their last turn: a Map keeps insertion order, so the one that was served goes to the end. */
function takeTurn(lanes: Map<number, Lane>): Batch | null {
  for (const [session, lane] of lanes) {
    if (lane.isEmpty) continue;
    const { items, rows } = lane.take(MAX_BATCH_ROWS);
    if (lanes.size > 1) {
      lanes.delete(session);
      lanes.set(session, lane);
    }
    return { session, items, rows };
  }
  return null;
}

/**
 * Gives each item its own scores. A batch that failed is tried again item by item by the caller; a failed single item is told.
 * Returns the items to try again singly.
 */
export function settleBatch(batch: Batch, output: Float32Array | null, error: string | null): readonly BatchItem[] {
  if (output !== null && output.length === batch.rows) {
    let offset = 0;
    for (const item of batch.items) {
      item.settle(null, output, offset);
      offset += item.rows;
    }
    return [];
  }
  if (batch.items.length > 1) return batch.items;
  const reason = error ?? `the model gave ${output?.length ?? 0} values for ${batch.rows} rows`;
  for (const item of batch.items) item.settle(reason, NO_SCORES, 0);
  return [];
}

const NO_SCORES = new Float32Array(0);
