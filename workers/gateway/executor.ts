import { join } from 'node:path';
import { SlipwayError } from '../../workflows/domain/errors';
import type { Signature } from '../../workflows/domain/release';
import type { Batch, BatchItem } from './batching';
import { BatchQueue, settleBatch } from './batching';
import type { SessionInputs, ThreadReply } from './executor-messages';
import { InferenceThread } from './inference-thread';
import type { InputCounts } from './packing';
import { countInputs, packBatch } from './packing';

export interface ExecutorOptions {
  readonly threads: number;
  /** Rows that may wait before callers are told to come back later. */
  readonly maxQueuedRows: number;
  /** Rows of paired and shadow work that may wait; more is dropped and counted. */
  readonly maxBackgroundRows: number;
  /** Called once after the items of a batch were settled: counts are written down, then answers leave. */
  readonly onBatchSettled: () => void;
  readonly onThreadLost: (reason: string) => void;
}

interface Session {
  readonly path: string;
  readonly inputs: SessionInputs;
  readonly counts: InputCounts;
}

/** ONNX Runtime sessions in a pool of threads of this process; every thread holds every session. */
export class Executor {
  private readonly queue = new BatchQueue();
  private readonly threads: InferenceThread[];
  private readonly sessions = new Map<number, Session>();
  /** Items of batches that failed, to be tried one by one so that a bad row does not fail its neighbours. */
  private readonly singles: Batch[] = [];
  private nextSession = 1;
  private pumpScheduled = false;
  private closed = false;
  private readonly pump = (): void => this.dispatch();

  constructor(private readonly options: ExecutorOptions) {
    this.threads = Array.from({ length: options.threads }, () => this.startThread());
  }

  /** Opens a model file in every thread. Throws MODEL_UNREADABLE. The number names the session until `unload`. */
  async load(path: string, signature: Signature): Promise<number> {
    const id = this.nextSession++;
    const inputs: SessionInputs = {
      inputs: signature.inputs.map(({ name, datatype }) => ({ name, datatype })),
      output: signature.output.name,
    };
    this.sessions.set(id, { path, inputs, counts: countInputs(inputs) });
    const failures = await Promise.all(this.threads.map((thread) => thread.load(id, path, inputs)));
    const failure = failures.find((error) => error !== null);
    if (failure === undefined) return id;
    this.unload(id);
    throw new SlipwayError('MODEL_UNREADABLE', `the model file does not open: ${failure}`);
  }

  /** What still waits for the session is settled with an error; callers unload only what no request can reach. */
  unload(id: number): void {
    this.sessions.delete(id);
    for (const item of this.queue.drain(id)) item.settle('the release was taken out', NO_SCORES, 0);
    for (const thread of this.threads) thread.unload(id);
  }

  /** Queues rows for a session. False: too much waits already. */
  submit(session: number, item: BatchItem): boolean {
    if (this.closed || this.queue.foregroundRows >= this.options.maxQueuedRows) return false;
    this.queue.push(session, item, false);
    this.schedule();
    return true;
  }

  /** Queues rows that no caller waits for. False: dropped, since too much waits. */
  submitBackground(session: number, item: BatchItem): boolean {
    if (this.closed || this.queue.backgroundRows >= this.options.maxBackgroundRows) return false;
    this.queue.push(session, item, true);
    this.schedule();
    return true;
  }

  /** Scores rows outside any request: self-tests and warm-up. Rejects with INFERENCE_FAILED. */
  score(session: number, columns: BatchItem['columns'], rows: number): Promise<Float32Array> {
    return new Promise((resolve, reject) => {
      const settle = (error: string | null, scores: Float32Array, offset: number): void => {
        if (error === null) resolve(scores.slice(offset, offset + rows));
        else reject(new SlipwayError('INFERENCE_FAILED', error));
      };
      if (!this.submit(session, { columns, rows, settle }))
        reject(new SlipwayError('OVERLOADED', 'too many rows wait'));
    });
  }

  get queuedRows(): number {
    return this.queue.foregroundRows;
  }

  async close(): Promise<void> {
    this.closed = true;
    await Promise.all(this.threads.map((thread) => thread.close()));
  }

  /** After the current turn of the event loop, so that requests that arrived together go together. */
  private schedule(): void {
    if (this.pumpScheduled) return;
    this.pumpScheduled = true;
    setImmediate(this.pump);
  }

  private dispatch(): void {
    this.pumpScheduled = false;
    for (const thread of this.threads) {
      if (thread.isBusy) continue;
      const batch = this.singles.pop() ?? this.queue.next();
      if (!batch) return;
      this.run(thread, batch);
    }
  }

  private run(thread: InferenceThread, batch: Batch): void {
    const session = this.sessions.get(batch.session);
    if (session) thread.run(batch, packBatch(batch, session.inputs, session.counts));
    else this.settle(batch, null, 'the release was taken out');
  }

  private settle(batch: Batch, output: Float32Array | null, error: string | null): void {
    for (const item of settleBatch(batch, output, error)) {
      this.singles.push({ session: batch.session, items: [item], rows: item.rows });
    }
    this.options.onBatchSettled();
    this.dispatch();
  }

  private startThread(): InferenceThread {
    return new InferenceThread(join(__dirname, 'executor-thread.ts'), {
      onRan: (batch: Batch, reply: Extract<ThreadReply, { kind: 'ran' }>) =>
        this.settle(batch, reply.output, reply.error),
      onLost: (thread: InferenceThread, batch: Batch | null, reason: string) => this.replace(thread, batch, reason),
    });
  }

  /** What a lost thread was working on is tried once more, item by item, here or in the thread that takes its place. */
  private replace(lost: InferenceThread, batch: Batch | null, reason: string): void {
    if (this.closed) return;
    this.options.onThreadLost(reason);
    setTimeout(() => this.restart(lost), RESTART_AFTER_MS);
    if (batch) this.settle(batch, null, reason);
  }

  private restart(lost: InferenceThread): void {
    if (this.closed) return;
    const fresh = this.startThread();
    this.threads[this.threads.indexOf(lost)] = fresh;
    for (const [id, session] of this.sessions) void fresh.load(id, session.path, session.inputs);
    this.dispatch();
  }
}

/** A thread that cannot start must not keep a core busy with trying. */
const RESTART_AFTER_MS = 200;
const NO_SCORES = new Float32Array(0);
