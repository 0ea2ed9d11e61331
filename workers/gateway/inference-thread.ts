import { Worker } from 'node:worker_threads';
import type { Batch } from './batching';
import type { PackedBatch, SessionInputs, ThreadReply, ThreadRequest } from './executor-messages';

export interface ThreadEvents {
  onRan(batch: Batch, reply: Extract<ThreadReply, { kind: 'ran' }>): void;
  /** The thread is gone; `batch` is what it was working on. */
  onLost(thread: InferenceThread, batch: Batch | null, reason: string): void;
}

/** Options that let a thread of ours run from its TypeScript source. */
export const THREAD_EXEC_ARGV = ['--require', require.resolve('tsx/cjs')];

/** The main thread's side of one inference thread: one batch at a time, so that batches grow while it is busy. */
export class InferenceThread {
  private readonly worker: Worker;
  private readonly loads = new Map<number, (error: string | null) => void>();
  private running: Batch | null = null;
  private ended = false;

  constructor(
    entry: string,
    private readonly events: ThreadEvents,
  ) {
    this.worker = new Worker(entry, { execArgv: THREAD_EXEC_ARGV });
    this.worker.on('message', (reply: ThreadReply) => this.receive(reply));
    this.worker.on('error', (error: Error) => this.lose(error.message));
    this.worker.on('exit', (code) => this.lose(`the thread ended with code ${code}`));
  }

  /** A thread that is gone takes nothing either. */
  get isBusy(): boolean {
    return this.running !== null || this.ended;
  }

  /** Null when the session is open, else what was wrong. */
  load(session: number, path: string, inputs: SessionInputs): Promise<string | null> {
    if (this.ended) return Promise.resolve('the inference thread is being started again');
    return new Promise((resolve) => {
      this.loads.set(session, resolve);
      this.post({ kind: 'load', session, path, inputs });
    });
  }

  unload(session: number): void {
    this.post({ kind: 'unload', session });
  }

  run(batch: Batch, packed: PackedBatch): void {
    this.running = batch;
    this.post({ kind: 'run', session: batch.session, batch: packed });
  }

  async close(): Promise<void> {
    this.ended = true;
    await this.worker.terminate();
  }

  private post(request: ThreadRequest): void {
    this.worker.postMessage(request);
  }

  private receive(reply: ThreadReply): void {
    if (reply.kind === 'loaded') {
      this.loads.get(reply.session)?.(reply.error);
      this.loads.delete(reply.session);
      return;
    }
    const batch = this.running!;
    this.running = null;
    this.events.onRan(batch, reply);
  }

  private lose(reason: string): void {
    if (this.ended) return;
    this.ended = true;
    const batch = this.running;
    this.running = null;
    for (const resolve of this.loads.values()) resolve(reason);
    this.loads.clear();
    this.events.onLost(this, batch, reason);
  }
}
