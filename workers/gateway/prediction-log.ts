import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { THREAD_EXEC_ARGV } from './inference-thread';
import type { Outbox } from './outbox';
import { stagePredictions } from './prediction-batch';
import type { LogThreadReply } from './prediction-log-thread';
import type { LoggedRequest, PredictionSink } from './prediction-row';
import type { ServedModel } from './served-model';

export interface PredictionLogOptions {
  /** Takes the files to the store. */
  readonly outbox: Outbox;
  readonly incarnation: string;
  readonly onProblem: (error: Error) => void;
}

const FLUSH_EVERY_MS = 250;
/** Rows in memory, on their way or waiting; more are dropped and counted, so that logging never slows serving. */
const MAX_ROWS = 100_000;
const FLUSH_ROWS = 4_096;
/** Batches that the thread may have at once: beyond, rows gather here. */
const MAX_IN_FLIGHT = 4;

/**
 * Prediction log off the request's path: rows gather here, a thread writes them as Parquet, and files go to the store
 * within about half a second. `close` loses nothing; a SIGKILL loses what was not written: at most the last half second.
 */
export class PredictionLog implements PredictionSink {
  private readonly worker: Worker;
  private readonly timer: NodeJS.Timeout;
  private pending: LoggedRequest[] = [];
  private pendingRows = 0;
  private readonly inFlight = new Map<number, number>();
  private sequence = 0;
  private idle: (() => void)[] = [];
  private isBroken = false;
  rows = 0;
  dropped = 0;

  constructor(private readonly options: PredictionLogOptions) {
    this.worker = new Worker(join(__dirname, 'prediction-log-thread.ts'), {
      execArgv: THREAD_EXEC_ARGV,
      workerData: { outbox: options.outbox.folder, incarnation: options.incarnation },
    });
    this.worker.unref();
    this.worker.on('message', (reply: LogThreadReply) => this.written(reply));
    this.worker.on('error', (error: Error) => this.breakDown(error));
    this.timer = setInterval(() => this.flush(), FLUSH_EVERY_MS);
    this.timer.unref();
  }

  add(request: LoggedRequest): void {
    if (this.isBroken || this.pendingRows + this.rowsInFlight() + request.rows > MAX_ROWS) {
      this.dropped += request.rows;
      return;
    }
    this.pending.push(request);
    this.pendingRows += request.rows;
    this.rows += request.rows;
    if (this.pendingRows >= FLUSH_ROWS) this.flush();
  }

  /** Everything that was added is in the store, or in the outbox where the store does not answer. */
  async close(): Promise<void> {
    clearInterval(this.timer);
    while (!this.isBroken && (this.pending.length > 0 || this.inFlight.size > 0)) {
      this.flush();
      await new Promise<void>((resolve) => this.idle.push(resolve));
    }
    await this.options.outbox.sendAll();
    await this.worker.terminate();
  }

  private rowsInFlight(): number {
    let rows = 0;
    for (const count of this.inFlight.values()) rows += count;
    return rows;
  }

  private flush(): void {
    if (this.pending.length === 0 || this.inFlight.size >= MAX_IN_FLIGHT) return;
    const requests = this.pending;
    this.pending = [];
    this.pendingRows = 0;
    for (const [served, own] of groupByGeneration(requests)) {
      const batch = stagePredictions(served, own, (this.sequence += 1));
      this.inFlight.set(batch.sequence, batch.rows);
      this.worker.postMessage(batch);
    }
  }

  private written({ sequence, error }: LogThreadReply): void {
    if (error !== null) {
      this.dropped += this.inFlight.get(sequence) ?? 0;
      this.options.onProblem(new Error(`prediction log: ${error}`));
    }
    this.inFlight.delete(sequence);
    void this.options.outbox.sendAll();
    this.wake();
  }

  private breakDown(error: Error): void {
    this.isBroken = true;
    this.dropped += this.pendingRows + this.rowsInFlight();
    this.options.onProblem(error);
    this.wake();
  }

  private wake(): void {
    for (const resolve of this.idle.splice(0)) resolve();
  }
}

function groupByGeneration(requests: readonly LoggedRequest[]): Map<ServedModel, LoggedRequest[]> {
  const groups = new Map<ServedModel, LoggedRequest[]>();
  for (const request of requests) {
    const group = groups.get(request.served);
    if (group) group.push(request);
    else groups.set(request.served, [request]);
  }
  return groups;
}
