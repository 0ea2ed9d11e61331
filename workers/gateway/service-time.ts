/** What one batch weighs in the mean against all before it: about the last ten batches count. */
const KEPT = 0.9;
/** The quickest of so many first batches is where the mean begins: cold caches and a stalled machine only ever make them slower. */
const FIRST_BATCHES = 4;
/** One stall of the machine must not look like a slow model; a model that did become slow is believed within some batches. */
const MOST_AT_ONCE = 8;

/** How long a session takes, measured where it runs: a mean over recent batches, weighted by rows. */
export class ServiceTime {
  private batches = 0;
  private rows = 0;
  private ms = 0;
  private batchMs = 0;

  note(rows: number, ms: number): void {
    this.batches += 1;
    if (this.batches <= FIRST_BATCHES) return this.begin(rows, ms);
    const believedMs = Math.min(ms, MOST_AT_ONCE * Math.max(this.msPerRow * rows, this.batchMs));
    this.rows = this.rows * KEPT + rows;
    this.ms = this.ms * KEPT + believedMs;
    this.batchMs = this.batchMs * KEPT + believedMs * (1 - KEPT);
  }

  /** 0 while it was measured less than twice: one time alone may be anything. */
  get msPerRow(): number {
    return this.batches < 2 ? 0 : this.ms / this.rows;
  }

  /** Mean time of an inference; 0 while it is unknown. */
  get msPerBatch(): number {
    return this.batches < 2 ? 0 : this.batchMs;
  }

  private begin(rows: number, ms: number): void {
    if (this.batches > 1 && ms / rows >= this.ms / this.rows) return;
    this.rows = rows;
    this.ms = ms;
    this.batchMs = ms;
  }
}
