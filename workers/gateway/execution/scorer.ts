import type { NORMAL, URGENT } from './batch-queue';
import type { BatchItem } from './batching';
import type { Executor } from './executor';

/** What scores the rows of one open release: a session of this process, or a server that exists. */
export interface Scorer {
  /**
   * Queues rows that a caller waits for. 0 when they were taken; else after how many milliseconds there would be room. Throws
   * INPUT_INVALID for rows that this release cannot be given although its signature allows them.
   */
  submit(item: BatchItem, level?: typeof URGENT | typeof NORMAL): number;
  /** Queues rows that no caller waits for. False: dropped, since too much waits. */
  submitBackground(item: BatchItem): boolean;
  /** Scores rows outside any request: self-tests and warm-up, which are never too many. */
  score(columns: BatchItem['columns'], rows: number): Promise<Float32Array>;
  /** What still waits is settled with an error; closed is only what no request can reach. */
  close(): void;
}

/** A session of ONNX Runtime in the threads of this process. */
export class ExecutorScorer implements Scorer {
  constructor(
    private readonly executor: Executor,
    private readonly session: number,
  ) {}

  submit(item: BatchItem, level?: typeof URGENT | typeof NORMAL): number {
    return this.executor.submit(this.session, item, level);
  }

  submitBackground(item: BatchItem): boolean {
    return this.executor.submitBackground(this.session, item);
  }

  score(columns: BatchItem['columns'], rows: number): Promise<Float32Array> {
    return this.executor.score(this.session, columns, rows);
  }

  close(): void {
    this.executor.unload(this.session);
  }
}
