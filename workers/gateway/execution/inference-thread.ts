import { Worker } from 'node:worker_threads';
import type { Batch } from './batching';
import type { RunRequest, RunResult, SessionInputs, ThreadReply, ThreadRequest } from './executor-messages';

export interface ThreadEvents {
  onRan(batch: Batch, result: RunResult): void;
  /** `error` is what was wrong with the file; null when the session is open. */
  onOpened(session: number, error: string | null): void;
  /** The thread is gone; `batches` is what it had, the first of which it was at work on. What it was opening was told before. */
  onLost(batches: readonly Batch[], reason: string): void;
}

/** Options that let a thread of ours run from its TypeScript source. */
export const THREAD_EXEC_ARGV = ['--require', require.resolve('tsx/cjs')];

const FINISH_WITHIN_MS = 5_000;

const NOTHING: readonly Batch[] = [];

/** The main thread's side of one inference thread: a batch, or some small ones one after the other, at a time, so that batches grow while it is busy. */
export class InferenceThread {
  private readonly worker: Worker;
  private readonly opened = new Set<number>();
  private opening: number | null = null;
  private running = NOTHING;
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
    return this.running.length > 0 || this.opening !== null || this.ended;
  }

  /** Has sessions and is not opening another, so that callers can count on it. */
  get isServing(): boolean {
    return this.opened.size > 0 && this.opening === null && !this.ended;
  }

  get isEmpty(): boolean {
    return this.opened.size === 0 && this.opening === null && !this.ended;
  }

  /** It is at work on the first; the others wait for their turn. */
  get batches(): readonly Batch[] {
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

  /** `runs` are the batches, packed. */
  run(batches: readonly Batch[], runs: readonly RunRequest[]): void {
    this.running = batches;
    this.post({ kind: 'run', runs });
  }

  /** Lets it finish what it is at: a native library that is ended in the middle may take the process with it. */
  async close(): Promise<void> {
    const isAtWork = this.running.length > 0 || this.opening !== null;
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
    const [batch, ...waiting] = this.running;
    this.running = waiting;
    this.events.onRan(batch!, reply.result);
  }

  private lose(reason: string): void {
    if (this.ended) return;
    this.ended = true;
    const [batches, opening] = [this.running, this.opening];
    this.running = NOTHING;
    this.opening = null;
    if (opening !== null) this.events.onOpened(opening, reason);
    this.events.onLost(batches, reason);
  }
}
