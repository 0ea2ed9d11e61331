import type { BatchItem } from './batching';

/** Items of one level that wait for one session. Drained from the front without shifting, so that a long queue costs nothing more. */
export class Lane {
  private items: BatchItem[] = [];
  private head = 0;
  rows = 0;
  /** Fair-queueing tag: the share of inference time that this lane has had; the lane with the least goes next. */
  tag = 0;
  /** Since when the first one waits; kept for sessions with a latency window only. */
  sinceMs = 0;

  get isEmpty(): boolean {
    return this.head === this.items.length;
  }

  push(item: BatchItem): void {
    this.items.push(item);
    this.rows += item.rows;
  }

  /**
   * Takes items of at most `maxRows` rows into `taken` (one larger item goes alone) and gives their rows. What is overdue or
   * without a caller is dropped on the way.
   */
  take(maxRows: number, nowMs: number, taken: BatchItem[]): number {
    let rows = 0;
    while (!this.isEmpty) {
      const item = this.items[this.head]!;
      if (taken.length > 0 && rows + item.rows > maxRows) break;
      this.head += 1;
      this.rows -= item.rows;
      if (item.isGone) item.drop('gone', false);
      else if (item.deadlineMs <= nowMs) item.drop('deadline', false);
      else {
        taken.push(item);
        rows += item.rows;
      }
    }
    if (this.head > 1_024 || this.isEmpty) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
    return rows;
  }

  takeAll(): BatchItem[] {
    const all = this.items.slice(this.head);
    this.items = [];
    this.head = 0;
    this.rows = 0;
    return all;
  }

  /** Drops what is overdue; gives the earliest deadline of what still waits. */
  sweep(nowMs: number): number {
    let earliestMs = Infinity;
    const waiting: BatchItem[] = [];
    for (const item of this.takeAll()) {
      if (item.deadlineMs <= nowMs) item.drop('deadline', false);
      else {
        waiting.push(item);
        this.rows += item.rows;
        if (item.deadlineMs < earliestMs) earliestMs = item.deadlineMs;
      }
    }
    this.items = waiting;
    return earliestMs;
  }
}
