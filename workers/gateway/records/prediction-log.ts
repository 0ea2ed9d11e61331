import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { BufferPool } from './buffer-pool';
import { THREAD_EXEC_ARGV } from '../execution/inference-thread';
import type { Outbox } from './outbox';
import type { LogThreadReply } from './prediction-log-thread';
import { isRefused, isSampled, type LoggedRequest, type PredictionSink } from './prediction-row';
import { PredictionStage } from './prediction-stage';
import type { ServedModel } from '../routes/served-model';

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

/** A flush costs some milliseconds of CPU, however little it brings. */
const FLUSH_EVERY_MS = 400;
/** Rows in memory, on their way or waiting; more are dropped and counted, so that logging never slows serving. */
const MAX_ROWS = 100_000;
/** Of these, rows of refused requests: they cost a caller nothing to send, and must not crowd out what was answered. */
const MAX_REFUSED_ROWS = 10_000;
/** Of one generation: some thousand rows. */
const FLUSH_BYTES = 2_097_152;
/** Batches that the thread may have at once: beyond, rows gather here. */
const MAX_IN_FLIGHT = 4;
/** A thread that died is started again after so long, doubled for each death without a written batch between. */
const RESTART_MS = 200;
const MAX_RESTART_MS = 30_000;

/**
 * Prediction log: rows are staged here while their request is at hand, a thread writes them as Parquet, and files go to the store
 * within about half a second. `close` loses nothing; a SIGKILL loses what was not written: at most the last half second.
 * A thread that dies takes along the batches it had, which count as dropped; the others wait for the next one.
 */
export class PredictionLog implements PredictionSink {
  /** Null while it is down. */
  private worker: Worker | null = null;
  private readonly timer: NodeJS.Timeout;
  private restart: NodeJS.Timeout | null = null;
  private deaths = 0;
  private stages = new Map<ServedModel, PredictionStage>();
  /** Staged or in flight; the second: of refused requests. */
  private heldRows = 0;
  private heldRefused = 0;
  private readonly inFlight = new Map<number, RowCount>();
  private readonly pool = new BufferPool();
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
    const { rows, served } = request;
    if (rows === 0 || !isSampled(request)) return;
    const refused = isRefused(request) ? rows : 0;
    if (this.heldRows + rows > MAX_ROWS || (refused > 0 && this.heldRefused + refused > MAX_REFUSED_ROWS)) {
      this.dropped += rows;
      return;
    }
    let stage = this.stages.get(served);
    if (stage === undefined) this.stages.set(served, (stage = new PredictionStage(served, this.pool)));
    stage.add(request);
    this.heldRows += rows;
    this.heldRefused += refused;
    this.rows += rows;
    if (stage.bytes >= FLUSH_BYTES) this.flush();
  }

  /** Everything that was added is in the store, or in the outbox where the store does not answer. */
  async close(): Promise<void> {
    clearInterval(this.timer);
    this.isClosing = true;
    if (!this.worker) this.startThread();
    while (this.stages.size > 0 || this.inFlight.size > 0) {
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
    worker.on('message', (reply: LogThreadReply) => this.written(worker, reply));
    worker.on('error', (error: Error) => this.lose(worker, error));
    worker.on('exit', (code) => this.lose(worker, new Error(`the thread ended with code ${code}`)));
    this.worker = worker;
  }

  private flush(): void {
    if (this.worker === null || this.stages.size === 0 || this.inFlight.size >= MAX_IN_FLIGHT) return;
    for (const stage of this.takeStages()) {
      const batch = stage.take((this.sequence += 1));
      this.inFlight.set(batch.sequence, { rows: stage.rows, refused: stage.refused });
      this.worker.postMessage(batch, [batch.numbers, batch.text]);
    }
  }

  private takeStages(): PredictionStage[] {
    const stages = [...this.stages.values()];
    this.stages.clear();
    return stages;
  }

  private release({ rows, refused }: RowCount): void {
    this.heldRows -= rows;
    this.heldRefused -= refused;
  }

  private written(worker: Worker, { sequence, error, buffers }: LogThreadReply): void {
    if (this.worker !== worker) return;
    const count = this.inFlight.get(sequence)!;
    if (error !== null) {
      this.dropped += count.rows;
      this.options.onProblem(new Error(`prediction log: ${error}`));
    } else this.deaths = 0;
    this.inFlight.delete(sequence);
    this.release(count);
    for (const buffer of buffers) this.pool.give(buffer);
    void this.options.outbox.sendAll();
    this.wake();
  }

  private lose(worker: Worker, error: Error): void {
    if (this.worker !== worker) return;
    this.worker = null;
    const lost = this.drop([...this.inFlight.values()]);
    this.inFlight.clear();
    // Asked to end, it tries no second time: what a thread cannot write must not hold the process.
    if (this.isClosing) this.drop(this.takeStages());
    else {
      const afterMs = Math.min(RESTART_MS * 2 ** this.deaths, MAX_RESTART_MS);
      this.restart = setTimeout(() => this.startThread(), afterMs).unref();
      this.deaths += 1;
    }
    this.options.onProblem(new Error(`prediction log: ${error.message}; ${lost} rows lost`, { cause: error }));
    this.wake();
  }

  private drop(counts: readonly RowCount[]): number {
    counts.forEach((count) => this.release(count));
    const rows = counts.reduce((sum, count) => sum + count.rows, 0);
    this.dropped += rows;
    return rows;
  }

  private wake(): void {
    for (const resolve of this.idle.splice(0)) resolve();
  }
}
