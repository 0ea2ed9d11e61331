import { statSync } from 'node:fs';
import { join } from 'node:path';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { Signature } from '../../../workflows/domain/release';
import type { BatchLimits, Level } from './batch-queue';
import { BACKGROUND, BatchQueue, NO_WAITING, NORMAL, type URGENT } from './batch-queue';
import type { Batch, BatchItem } from './batching';
import { failureOf, settleBatch, sweepTaken } from './batching';
import type { RunRequest, RunResult, SessionInputs } from './executor-messages';
import type { InputCounts } from './packing';
import { countInputs, packBatch } from './packing';
import type { InferenceThread } from './inference-thread';
import { ThreadPool } from './thread-pool';

export interface ExecutorOptions {
  readonly threads: number;
  /** Rows that may wait, of all sessions; one session may hold half of them. */
  readonly maxQueuedRows: number;
  /** Rows of paired and shadow work that may wait; more is dropped and counted. */
  readonly maxBackgroundRows: number;
  /** How long what comes may have to wait at the measured speed before callers are told to come back later. */
  readonly maxWaitMs?: number;
  /** See ThreadPoolOptions. */
  readonly copiesBytes?: number;
  /** Called once after the items of a batch were settled: counts are written down, then answers leave. */
  readonly onBatchSettled: () => void;
  readonly onThreadLost: (reason: string) => void;
  /** Monotonic; deadlines of items are on it. */
  readonly nowMs?: () => number;
}

interface Session {
  readonly inputs: SessionInputs;
  readonly counts: InputCounts;
  /** Null: nobody's. */
  readonly spent: Spent | null;
}

/** What was inferred for one model since the process began. */
export interface Spent {
  ms: number;
  rows: number;
}

export const DEFAULT_MAX_WAIT_MS = 250;
/** Callers of a slow model wait for so many of its batches, however long those take: its queue is not long, its work is. */
const BATCHES_WAITED_FOR = 4;
const DEFAULT_COPIES_BYTES = 1 << 30;
/** A caller that was told to come back in less would meet the same queue. */
const RETRY_AT_LEAST_MS = 1;
/** So long after the last caller nobody is hurt when all threads open a session at once. */
const CALM_AFTER_MS = 1_000;
/** Batches go to a thread together while they are expected to take less: what comes meanwhile waits for the last of them. */
const TOGETHER_MS = 0.5;
/** Timers may fire a little before their time. */
const EARLY_MS = 0.5;

/** ONNX Runtime sessions in a pool of threads of this process. */
export class Executor {
  readonly nowMs: () => number;
  private readonly queue = new BatchQueue();
  private readonly pool: ThreadPool;
  /** Inference by model: callers' rows, pairs, shadows and self-tests. */
  readonly spentByModel = new Map<string, Spent>();
  private readonly sessions = new Map<number, Session>();
  /** Items of batches that failed, to be tried one by one so that a bad row does not fail its neighbours. */
  private readonly singles: Batch[] = [];
  private readonly maxWaitMs: number;
  private nextSession = 1;
  private pumpScheduled = false;
  private closed = false;
  private lastCallerMs = -Infinity;
  private sweepAtMs = Infinity;
  private sweepTimer: NodeJS.Timeout | null = null;
  private holdTimer: NodeJS.Timeout | null = null;
  private readonly pump = (): void => this.dispatch();
  private readonly canRun = (session: number): boolean => this.pool.freeFor(session) !== null;

  constructor(private readonly options: ExecutorOptions) {
    this.nowMs = options.nowMs ?? (() => performance.now());
    this.maxWaitMs = options.maxWaitMs ?? DEFAULT_MAX_WAIT_MS;
    this.pool = new ThreadPool({
      entry: join(__dirname, 'executor-thread.ts'),
      threads: options.threads,
      copiesBytes: options.copiesBytes ?? DEFAULT_COPIES_BYTES,
      isCalm: () => this.nowMs() - this.lastCallerMs > CALM_AFTER_MS,
      onRan: (batch, result) => this.ran(batch, result),
      onLost: (batches, reason) => this.lost(batches, reason),
      onFree: this.pump,
      onTrouble: (reason) => options.onThreadLost(reason),
    });
  }

  /** Opens a model file; `model` is whom its time is booked to. Throws MODEL_UNREADABLE. The number names the session until `unload`. */
  async load(
    path: string,
    signature: Signature,
    limits: BatchLimits = NO_WAITING,
    model: string | null = null,
  ): Promise<number> {
    const id = this.nextSession++;
    const inputs: SessionInputs = {
      inputs: signature.inputs.map(({ name, datatype }) => ({ name, datatype })),
      output: signature.output.name,
    };
    this.sessions.set(id, { inputs, counts: countInputs(inputs), spent: model === null ? null : this.spentOf(model) });
    this.queue.open(id, limits);
    const failure = await this.pool.open({ id, path, bytes: bytesOf(path), inputs });
    if (failure === null) return id;
    this.unload(id);
    throw new SlipwayError('MODEL_UNREADABLE', `the model file does not open: ${failure}`);
  }

  /** What still waits for the session is settled with an error; callers unload only what no request can reach. */
  unload(id: number): void {
    this.sessions.delete(id);
    for (const item of this.queue.close(id)) item.settle('the release was taken out', NO_SCORES, 0);
    this.pool.close(id);
  }

  /** Queues rows that a caller waits for. 0 when they were taken; else after how many milliseconds there would be room. */
  submit(session: number, item: BatchItem, level: typeof URGENT | typeof NORMAL = NORMAL): number {
    const nowMs = this.nowMs();
    const retryMs = this.refusal(session, item, level, nowMs);
    if (retryMs > 0) return retryMs;
    this.lastCallerMs = nowMs;
    if (item.deadlineMs < this.sweepAtMs) this.sweepAt(item.deadlineMs, nowMs);
    this.push(session, item, level, nowMs);
    return 0;
  }

  /** Queues rows that no caller waits for. False: dropped, since too much waits. */
  submitBackground(session: number, item: BatchItem): boolean {
    if (this.closed || this.queue.backgroundRows >= this.options.maxBackgroundRows) return false;
    this.push(session, item, BACKGROUND, this.nowMs());
    return true;
  }

  /** Scores rows outside any request: self-tests and warm-up, which are never too many. Rejects with INFERENCE_FAILED. */
  score(session: number, columns: BatchItem['columns'], rows: number): Promise<Float32Array> {
    return new Promise((resolve, reject) => {
      const settle: BatchItem['settle'] = (error, scores, offset) => {
        if (error === null) resolve(scores.slice(offset, offset + rows));
        else reject(failureOf(error));
      };
      if (this.closed) return reject(new SlipwayError('OVERLOADED', 'the gateway ends'));
      const item = { columns, rows, deadlineMs: Infinity, isGone: false, settle, drop: () => undefined };
      this.push(session, item, NORMAL, this.nowMs());
    });
  }

  get queuedRows(): number {
    return this.queue.foregroundRows;
  }

  get running(): number {
    return this.pool.running;
  }

  async close(): Promise<void> {
    this.closed = true;
    if (this.sweepTimer) clearTimeout(this.sweepTimer);
    if (this.holdTimer) clearTimeout(this.holdTimer);
    await this.pool.end();
  }

  /**
   * 0, or how long until the queue has room. Whoever would wait longer than the limit, or than it can, is told at once: a queue that
   * everybody times out in serves nobody. Where nothing of the session waits there is always room for one.
   */
  private refusal(session: number, item: BatchItem, level: typeof URGENT | typeof NORMAL, nowMs: number): number {
    if (this.closed) return CALM_AFTER_MS;
    const ownRows = this.queue.rowsOf(session, level);
    if (ownRows === 0) return 0;
    const { maxQueuedRows } = this.options;
    const waitMs = this.queue.waitMs(session, level, this.pool.copiesOf(session));
    const patienceMs = Math.max(this.maxWaitMs, BATCHES_WAITED_FOR * this.queue.batchMsOf(session));
    const limitMs = Math.min(patienceMs, item.deadlineMs - nowMs);
    const isFull = ownRows >= maxQueuedRows / 2 || this.queue.foregroundRows >= maxQueuedRows;
    return isFull || waitMs > limitMs ? Math.max(RETRY_AT_LEAST_MS, waitMs) : 0;
  }

  private push(session: number, item: BatchItem, level: Level, nowMs: number): void {
    if (!this.queue.push(session, item, level, nowMs)) return item.settle('the release was taken out', NO_SCORES, 0);
    this.schedule();
  }

  /** After the current turn of the event loop, so that requests that arrived together go together. */
  private schedule(): void {
    if (this.pumpScheduled) return;
    this.pumpScheduled = true;
    setImmediate(this.pump);
  }

  private dispatch(): void {
    this.pumpScheduled = false;
    const nowMs = this.nowMs();
    const dropped = this.queue.dropped;
    while (this.pool.canRunMore) {
      const single = this.nextSingle();
      const batch = single ?? this.queue.next(nowMs, this.canRun, this.pool.free);
      if (!batch) break;
      // A row that may take a thread down is tried without anybody else's.
      this.run(batch, (thread) => (single ? [] : this.companyOf(batch, thread, nowMs)));
    }
    if (this.queue.holdsUntilMs < Infinity) this.hold(this.queue.holdsUntilMs - nowMs);
    if (this.queue.dropped > dropped) this.options.onBatchSettled();
  }

  private nextSingle(): Batch | null {
    while (this.singles.length > 0) {
      const at = this.singles.findIndex(({ session }) => !this.sessions.has(session) || this.canRun(session));
      if (at < 0) return null;
      const [single] = this.singles.splice(at, 1);
      if (!single!.items[0]!.isGone) return single!;
      single!.items[0]!.drop('gone', true);
    }
    return null;
  }

  private run(batch: Batch, company: (thread: InferenceThread) => readonly Batch[]): void {
    const thread = this.sessions.has(batch.session) ? this.pool.freeFor(batch.session) : null;
    if (!thread) return this.settle(batch, null, 'the release was taken out');
    const batches = [batch, ...company(thread)];
    this.pool.run(
      thread,
      batches,
      batches.map((one) => this.pack(one)),
    );
  }

  /**
   * Small batches of other sessions that wait, the other arm's above all: the way to a thread costs more than they do. Only where
   * no other thread is free to take them, and so little of them that what comes next does not notice.
   */
  private companyOf(batch: Batch, thread: InferenceThread, nowMs: number): readonly Batch[] {
    const company: Batch[] = [];
    let leftMs = TOGETHER_MS - this.expectedMs(batch.session, batch.rows);
    const fits = (session: number): boolean =>
      thread.has(session) && this.expectedMs(session, this.queue.waitingRowsOf(session)) <= leftMs;
    while (this.pool.free === 1 && leftMs > 0 && this.queue.isWaiting) {
      const next = this.queue.next(nowMs, fits);
      if (!next) break;
      company.push(next);
      leftMs -= this.expectedMs(next.session, next.rows);
    }
    return company;
  }

  private pack(batch: Batch): RunRequest {
    const { inputs, counts } = this.sessions.get(batch.session)!;
    return { session: batch.session, batch: packBatch(batch, inputs, counts) };
  }

  /** By measured speed; Infinity where it is unknown. */
  private expectedMs(session: number, rows: number): number {
    return Math.max(this.queue.batchMsOf(session), this.queue.rowMsOf(session) * rows) || Infinity;
  }

  private ran(batch: Batch, { output, ms, error }: RunResult): void {
    const spent = this.sessions.get(batch.session)?.spent;
    if (spent) {
      spent.ms += ms;
      spent.rows += batch.rows;
    }
    if (output) this.queue.measured(batch.session, batch.rows, ms);
    this.settle(batch, output, error);
  }

  private spentOf(model: string): Spent {
    let spent = this.spentByModel.get(model);
    if (!spent) this.spentByModel.set(model, (spent = { ms: 0, rows: 0 }));
    return spent;
  }

  private settle(batch: Batch, output: Float32Array | null, error: string | null): void {
    this.tryAgain(batch, settleBatch(batch, output, error));
    this.options.onBatchSettled();
    this.dispatch();
  }

  private tryAgain({ session }: Batch, items: readonly BatchItem[]): void {
    for (const item of items) this.singles.push({ session, items: [item], rows: item.rows });
  }

  /**
   * What a lost thread was working on is tried once more, item by item, by another or by the one that takes its place; what waited
   * behind that had no part in it.
   */
  private lost([running, ...waiting]: readonly Batch[], reason: string): void {
    this.options.onThreadLost(reason);
    for (const batch of waiting) this.tryAgain(batch, batch.items);
    if (running) this.settle(running, null, reason);
  }

  private sweepAt(atMs: number, nowMs: number): void {
    if (this.sweepTimer) clearTimeout(this.sweepTimer);
    this.sweepAtMs = atMs;
    this.sweepTimer = setTimeout(() => this.sweep(), Math.max(1, atMs - nowMs + EARLY_MS));
    this.sweepTimer.unref();
  }

  /** Callers hear of a passed deadline when it passes, whatever the model is busy with. */
  private sweep(): void {
    const nowMs = this.nowMs();
    this.sweepTimer = null;
    this.sweepAtMs = Infinity;
    let earliestMs = this.queue.sweep(nowMs);
    for (const batches of this.pool.batches)
      batches.forEach((batch, at) => (earliestMs = Math.min(earliestMs, sweepTaken(batch, nowMs, at === 0))));
    if (earliestMs < Infinity) this.sweepAt(earliestMs, nowMs);
    this.options.onBatchSettled();
  }

  private hold(forMs: number): void {
    if (this.holdTimer) return;
    this.holdTimer = setTimeout(() => {
      this.holdTimer = null;
      this.dispatch();
    }, forMs);
  }
}

/** 0 for what cannot be read; opening it says why. */
function bytesOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

const NO_SCORES = new Float32Array(0);
