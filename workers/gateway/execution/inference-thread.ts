import { Worker } from 'node:worker_threads';
import type { Batch } from './batching';
import type { PackedBatch, SessionInputs, ThreadReply, ThreadRequest } from './executor-messages';

export interface ThreadEvents {
  onRan(batch: Batch, reply: Extract<ThreadReply, { kind: 'ran' }>): void;
  /** `error` is what was wrong with the file; null when the session is open. */
  onOpened(session: number, error: string | null): void;
  /** The thread is gone; `batch` is what it was working on. What it was opening was told before. */
  onLost(batch: Batch | null, reason: string): void;
}

/** Options that let a thread of ours run from its TypeScript source. */
export const THREAD_EXEC_ARGV = ['--require', require.resolve('tsx/cjs')];

const FINISH_WITHIN_MS = 5_000;

/** The main thread's side of one inference thread: one batch at a time, so that batches grow while it is busy. */
export class InferenceThread {
  private readonly worker: Worker;
  private readonly opened = new Set<number>();
  private opening: number | null = null;
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

  /** At work, opening a session, or gone. */
  get isBusy(): boolean {
    return this.running !== null || this.opening !== null || this.ended;
  }

  /** Has sessions and is not opening another, so that callers can count on it. */
  get isServing(): boolean {
    return this.opened.size > 0 && this.opening === null && !this.ended;
  }

  get isEmpty(): boolean {
    return this.opened.size === 0 && this.opening === null && !this.ended;
  }

  get batch(): Batch | null {
    return this.running;
  }

  get sessions(): Iterable<number> {
    return this.opened;
  }

  has(session: number): boolean {
    return this.opened.has(session);
  }

  /** Only while it is not busy. Told by `onOpened`. */
  load({ id, path, inputs }: { readonly id: number; readonly path: string; readonly inputs: SessionInputs }): void {
    this.opening = id;
    this.post({ kind: 'load', session: id, path, inputs });
  }

  unload(session: number): void {
    if (this.opened.delete(session)) this.post({ kind: 'unload', session });
  }

  run(batch: Batch, packed: PackedBatch): void {
    this.running = batch;
    this.post({ kind: 'run', session: batch.session, batch: packed });
  }

  /** Lets it finish what it is at: a native library that is ended in the middle may take the process with it. */
  async close(): Promise<void> {
    const isAtWork = this.running !== null || this.opening !== null;
    this.ended = true;
    if (isAtWork) {
      await new Promise<void>((resolve) => {
        const late = setTimeout(resolve, FINISH_WITHIN_MS);
        for (const event of ['message', 'error', 'exit'])
          this.worker.once(event, () => {
            clearTimeout(late);
            resolve();
          });
      });
    }
    await this.worker.terminate();
  }

  private post(request: ThreadRequest): void {
    this.worker.postMessage(request);
  }

  private receive(reply: ThreadReply): void {
    if (this.ended) return;
    if (reply.kind === 'loaded') {
      this.opening = null;
      if (reply.error === null) this.opened.add(reply.session);
      return this.events.onOpened(reply.session, reply.error);
    }
    const batch = this.running!;
    this.running = null;
    this.events.onRan(batch, reply);
  }

  private lose(reason: string): void {
    if (this.ended) return;
    this.ended = true;
    const [batch, opening] = [this.running, this.opening];
    this.running = null;
    this.opening = null;
    if (opening !== null) this.events.onOpened(opening, reason);
    this.events.onLost(batch, reason);
  }
}
