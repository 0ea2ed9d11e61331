import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { THREAD_EXEC_ARGV } from './inference-thread';
import type { Outbox } from './outbox';
import { stagePredictions } from './prediction-batch';
import type { LogThreadReply } from './prediction-log-thread';
import { isRefused, isSampled, type LoggedRequest, type PredictionSink } from './prediction-row';
import type { ServedModel } from './served-model';

export interface PredictionLogOptions {
  /** Takes the files to the store. */
  readonly outbox: Outbox;
  readonly incarnation: string;
  readonly onProblem: (error: Error) => void;
}

interface RowCount {
  readonly rows: number;
  /** Of these, of refused requests. */
  readonly refused: number;
}

const FLUSH_EVERY_MS = 250;
/** Rows in memory, on their way or waiting; more are dropped and counted, so that logging never slows serving. */
const MAX_ROWS = 100_000;
/** Of these, rows of refused requests: they cost a caller nothing to send, and must not crowd out what was answered. */
const MAX_REFUSED_ROWS = 10_000;
const FLUSH_ROWS = 4_096;
/** Batches that the thread may have at once: beyond, rows gather here. */
const MAX_IN_FLIGHT = 4;
/** A thread that died is started again after so long, doubled for each death without a written batch between. */
const RESTART_MS = 200;
const MAX_RESTART_MS = 30_000;

/**
 * Prediction log off the request's path: rows gather here, a thread writes them as Parquet, and files go to the store
 * within about half a second. `close` loses nothing; a SIGKILL loses what was not written: at most the last half second.
 * A thread that dies takes along the batches it had, which count as dropped; the others wait for the next one.
 */
export class PredictionLog implements PredictionSink {
  /** Null while it is down. */
  private worker: Worker | null = null;
  private readonly timer: NodeJS.Timeout;
  private restart: NodeJS.Timeout | null = null;
  private deaths = 0;
  private pending: LoggedRequest[] = [];
  private pendingRows = 0;
  private pendingRefused = 0;
  private readonly inFlight = new Map<number, RowCount>();
  private sequence = 0;
  private idle: (() => void)[] = [];
  private isClosing = false;
  rows = 0;
  dropped = 0;

  constructor(private readonly options: PredictionLogOptions) {
    this.startThread();
    this.timer = setInterval(() => this.flush(), FLUSH_EVERY_MS);
    this.timer.unref();
  }

  add(request: LoggedRequest): void {
    if (!isSampled(request)) return;
    const refused = isRefused(request) ? request.rows : 0;
    const flying = this.rowsInFlight();
    if (
      this.pendingRows + flying.rows + request.rows > MAX_ROWS ||
      (refused > 0 && this.pendingRefused + flying.refused + refused > MAX_REFUSED_ROWS)
    ) {
      this.dropped += request.rows;
      return;
    }
    this.pending.push(request);
    this.pendingRows += request.rows;
    this.pendingRefused += refused;
    this.rows += request.rows;
    if (this.pendingRows >= FLUSH_ROWS) this.flush();
  }

  /** Everything that was added is in the store, or in the outbox where the store does not answer. */
  async close(): Promise<void> {
    clearInterval(this.timer);
    this.isClosing = true;
    if (!this.worker) this.startThread();
    while (this.pending.length > 0 || this.inFlight.size > 0) {
      this.flush();
      await new Promise<void>((resolve) => this.idle.push(resolve));
    }
    await this.options.outbox.sendAll();
    const last = this.worker;
    this.worker = null;
    await last?.terminate();
  }

  private startThread(): void {
    if (this.restart) clearTimeout(this.restart);
    this.restart = null;
    const worker = new Worker(join(__dirname, 'prediction-log-thread.ts'), {
      execArgv: THREAD_EXEC_ARGV,
      workerData: { outbox: this.options.outbox.folder, incarnation: this.options.incarnation },
    });
    worker.unref();
    worker.on('message', (reply: LogThreadReply) => this.written(reply));
    worker.on('error', (error: Error) => this.lose(worker, error));
    worker.on('exit', (code) => this.lose(worker, new Error(`the thread ended with code ${code}`)));
    this.worker = worker;
  }

  private rowsInFlight(): RowCount {
    const sum = { rows: 0, refused: 0 };
    for (const { rows, refused } of this.inFlight.values()) {
      sum.rows += rows;
      sum.refused += refused;
    }
    return sum;
  }

  private flush(): void {
    if (this.worker === null || this.pending.length === 0 || this.inFlight.size >= MAX_IN_FLIGHT) return;
    const requests = this.takePending();
    for (const [served, own] of groupByGeneration(requests)) {
      const batch = stagePredictions(served, own, (this.sequence += 1));
      this.inFlight.set(batch.sequence, { rows: batch.rows, refused: sumRows(own.filter(isRefused)) });
      this.worker.postMessage(batch);
    }
  }

  private takePending(): LoggedRequest[] {
    const requests = this.pending;
    this.pending = [];
    this.pendingRows = 0;
    this.pendingRefused = 0;
    return requests;
  }

  private written({ sequence, error }: LogThreadReply): void {
    if (error !== null) {
      this.dropped += this.inFlight.get(sequence)?.rows ?? 0;
      this.options.onProblem(new Error(`prediction log: ${error}`));
    } else this.deaths = 0;
    this.inFlight.delete(sequence);
    void this.options.outbox.sendAll();
    this.wake();
  }

  private lose(worker: Worker, error: Error): void {
    if (this.worker !== worker) return;
    this.worker = null;
    const lost = this.rowsInFlight().rows;
    this.inFlight.clear();
    this.dropped += lost;
    // Asked to end, it tries no second time: what a thread cannot write must not hold the process.
    if (this.isClosing) this.dropped += sumRows(this.takePending());
    else {
      const afterMs = Math.min(RESTART_MS * 2 ** this.deaths, MAX_RESTART_MS);
      this.restart = setTimeout(() => this.startThread(), afterMs).unref();
      this.deaths += 1;
    }
    this.options.onProblem(new Error(`prediction log: ${error.message}; ${lost} rows lost`, { cause: error }));
    this.wake();
  }

  private wake(): void {
    for (const resolve of this.idle.splice(0)) resolve();
  }
}

function sumRows(requests: readonly LoggedRequest[]): number {
  return requests.reduce((sum, { rows }) => sum + rows, 0);
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
