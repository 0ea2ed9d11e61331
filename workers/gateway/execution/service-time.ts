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
  private readonly line = new Line();

  note(rows: number, ms: number): void {
    this.batches += 1;
    this.line.note(rows, ms);
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

  /**
   * Whether two threads are well ahead of one with so many rows: what each batch costs whatever its size is then spent twice.
   * Believed while it is unknown, since it is found out by trying.
   */
  isWorthSharing(rows: number): boolean {
    const perRowMs = this.line.slope;
    if (perRowMs === null) return true;
    const perBatchMs = Math.max(0, this.line.meanMs - perRowMs * this.line.meanRows);
    return perRowMs * rows >= 2 * perBatchMs;
  }

  private begin(rows: number, ms: number): void {
    if (this.batches > 1 && ms / rows >= this.ms / this.rows) return;
    this.rows = rows;
    this.ms = ms;
    this.batchMs = ms;
  }
}

const LINE_KEPT = 0.95;

/** Least squares of time over rows, the newest batches counting most. */
class Line {
  meanRows = 0;
  meanMs = 0;
  private weight = 0;
  private squares = 0;
  private products = 0;

  note(rows: number, ms: number): void {
    this.weight = this.weight * LINE_KEPT + 1;
    const ahead = rows - this.meanRows;
    this.meanRows += ahead / this.weight;
    this.squares = this.squares * LINE_KEPT + ahead * (rows - this.meanRows);
    this.meanMs += (ms - this.meanMs) / this.weight;
    this.products = this.products * LINE_KEPT + ahead * (ms - this.meanMs);
  }

  /** Milliseconds a row; null while batches were too alike to tell. */
  get slope(): number | null {
    const spread = this.squares / Math.max(1, this.weight);
    return spread < 0.05 * this.meanRows * this.meanRows ? null : this.products / this.squares;
  }
}
