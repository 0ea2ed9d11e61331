import type { Batch } from './batching';
import type { RunRequest, RunResult, SessionInputs } from './executor-messages';
import { InferenceThread } from './inference-thread';

export interface ThreadPoolOptions {
  readonly entry: string;
  /** Inferences at the same time. */
  readonly threads: number;
  /** What the copies of one model may take together; a larger one is open in fewer threads. */
  readonly copiesBytes: number;
  /** Whether no caller would notice if every thread were busy with opening. */
  readonly isCalm: () => boolean;
  readonly onRan: (batch: Batch, result: RunResult) => void;
  /** The thread is gone; `batches` is what it had, the first of which it was at work on. Another takes its place. */
  readonly onLost: (batches: readonly Batch[], reason: string) => void;
  /** A thread may take work that it could not take before. */
  readonly onFree: () => void;
  /** A session that is open elsewhere did not open in one of the threads. */
  readonly onTrouble: (reason: string) => void;
}

export interface PlacedSession {
  readonly id: number;
  readonly path: string;
  readonly bytes: number;
  readonly inputs: SessionInputs;
}

/** A session that some threads have yet to open, and who waits for it. */
interface Opening {
  readonly session: PlacedSession;
  /** Threads that must have it before it counts as open. */
  needed: number;
  readonly resolve: (error: string | null) => void;
}

/** A thread that cannot start must not keep a core busy with trying. */
const RESTART_AFTER_MS = 200;
/** Calm does not announce itself. */
const LOOK_AGAIN_MS = 50;

/**
 * Threads with their sessions. Opening a session blocks the thread that does it, for as long as the model is large; so under load
 *
 * 1. at most one thread opens at a time, and only while as many others serve as may be at work at once: for this
 *    there is one thread more, started when it is first needed;
 * 2. a session counts as open when as many threads have it as may be at work at once; the others follow.
 *
 * When all is calm every thread opens at once.
 */
export class ThreadPool {
  private threads: InferenceThread[];
  private readonly placed = new Map<number, PlacedSession>();
  private readonly openings = new Map<number, Opening>();
  private readonly todo = new Map<InferenceThread, PlacedSession[]>();
  private lookAgain: NodeJS.Timeout | null = null;
  private closed = false;
  running = 0;

  constructor(private readonly options: ThreadPoolOptions) {
    this.threads = Array.from({ length: options.threads }, () => this.start());
  }

  get canRunMore(): boolean {
    return this.running < this.options.threads;
  }

  /** How many threads could begin now, at most. */
  get free(): number {
    return this.options.threads - this.running;
  }

  /** What each thread has: it is at work on the first, and the others wait for it. */
  get batches(): readonly (readonly Batch[])[] {
    return this.threads.map(({ batches }) => batches);
  }

  /** A free thread that has the session; always the same one where little is asked, since its caches are warm. */
  freeFor(session: number): InferenceThread | null {
    for (const thread of this.threads) if (!thread.isBusy && thread.has(session)) return thread;
    return null;
  }

  /** How many threads may be at work on a session at once. */
  copiesOf(session: number): number {
    let copies = 0;
    for (const thread of this.threads) if (thread.has(session)) copies += 1;
    return Math.max(1, Math.min(copies, this.options.threads));
  }

  /** `runs` are the batches, packed. */
  run(thread: InferenceThread, batches: readonly Batch[], runs: readonly RunRequest[]): void {
    this.running += 1;
    thread.run(batches, runs);
  }

  /** Null when the session is open in enough threads, else what was wrong; then it is open in none. */
  open(session: PlacedSession): Promise<string | null> {
    if (!this.options.isCalm() && this.threads.length === this.options.threads) this.addSpare();
    this.placed.set(session.id, session);
    const chosen = this.choose(session);
    return new Promise((resolve) => {
      this.openings.set(session.id, { session, needed: Math.min(chosen.length, this.options.threads), resolve });
      for (const thread of chosen) this.todo.get(thread)!.push(session);
      this.advance();
    });
  }

  close(session: number): void {
    this.placed.delete(session);
    this.finishOpening(session, 'the session was closed');
    for (const [thread, todo] of this.todo) {
      const waiting = todo.findIndex(({ id }) => id === session);
      if (waiting >= 0) todo.splice(waiting, 1);
      else thread.unload(session);
    }
  }

  async end(): Promise<void> {
    this.closed = true;
    if (this.lookAgain) clearTimeout(this.lookAgain);
    await Promise.all(this.threads.map((thread) => thread.close()));
  }

  /** Threads with the least in them come first where a model is too large for all. */
  private choose(session: PlacedSession): InferenceThread[] {
    const copies = this.copiesAllowed(session);
    if (copies >= this.threads.length) return this.threads;
    const load = new Map(this.threads.map((thread) => [thread, this.bytesOf(thread)]));
    return [...this.threads].sort((a, b) => load.get(a)! - load.get(b)!).slice(0, copies);
  }

  private copiesAllowed({ bytes }: PlacedSession): number {
    return Math.max(1, Math.floor(this.options.copiesBytes / Math.max(1, bytes)));
  }

  private bytesOf(thread: InferenceThread): number {
    let bytes = 0;
    for (const session of this.placed.values())
      if (thread.has(session.id) || this.todo.get(thread)!.includes(session)) bytes += session.bytes;
    return bytes;
  }

  private addSpare(): void {
    const spare = this.start();
    this.threads.push(spare);
    const shared = [...this.placed.values()].filter((session) => this.copiesAllowed(session) >= this.threads.length);
    this.todo.set(spare, shared);
  }

  private start(): InferenceThread {
    const thread = new InferenceThread(this.options.entry, {
      onRan: (batch, result) => {
        if (thread.batches.length === 0) this.running -= 1;
        // Before the next batch takes it: it may be this thread's turn to open a session.
        if (this.todo.get(thread)!.length > 0) this.advance();
        this.options.onRan(batch, result);
      },
      onOpened: (session, error) => this.opened(thread, session, error),
      onLost: (batches, reason) => this.lost(thread, batches, reason),
    });
    this.todo.set(thread, []);
    return thread;
  }

  private advance(): void {
    let isWaiting = false;
    for (const thread of this.threads) {
      const todo = this.todo.get(thread)!;
      if (todo.length === 0 || thread.isBusy) continue;
      if (this.mayOpen(thread)) thread.load(todo.shift()!);
      else isWaiting = true;
    }
    if (!isWaiting || this.lookAgain || this.closed) return;
    this.lookAgain = setTimeout(() => {
      this.lookAgain = null;
      this.advance();
    }, LOOK_AGAIN_MS);
  }

  /** Every session of the thread stays open in as many others as may be at work on it at once. */
  private mayOpen(thread: InferenceThread): boolean {
    if (thread.isEmpty || this.options.isCalm()) return true;
    for (const session of thread.sessions) {
      const having = this.threads.filter((other) => other !== thread && other.has(session));
      const serving = having.filter((other) => other.isServing);
      if (serving.length < Math.min(this.options.threads, having.length)) return false;
      if (serving.length < this.options.threads && this.isShared(session)) return false;
    }
    return true;
  }

  /** Not where the model is too large for more threads: then its one thread has to open sessions, too. */
  private isShared(session: number): boolean {
    const placed = this.placed.get(session);
    return placed !== undefined && this.copiesAllowed(placed) > this.options.threads;
  }

  private opened(thread: InferenceThread, session: number, error: string | null): void {
    if (!this.placed.has(session)) thread.unload(session);
    const opening = this.openings.get(session);
    if (opening && error !== null) {
      this.finishOpening(session, error);
      this.close(session);
    } else if (error !== null) this.options.onTrouble(`a thread could not open a model: ${error}`);
    else if (opening && (opening.needed -= 1) === 0) this.finishOpening(session, null);
    this.advance();
    this.options.onFree();
  }

  private finishOpening(session: number, error: string | null): void {
    const opening = this.openings.get(session);
    this.openings.delete(session);
    opening?.resolve(error);
  }

  private lost(thread: InferenceThread, batches: readonly Batch[], reason: string): void {
    if (batches.length > 0) this.running -= 1;
    if (this.closed) return;
    setTimeout(() => this.replace(thread), RESTART_AFTER_MS);
    this.options.onLost(batches, reason);
  }

  private replace(lost: InferenceThread): void {
    if (this.closed) return;
    const fresh = this.start();
    const wanted = new Set([...lost.sessions, ...this.todo.get(lost)!.map(({ id }) => id)]);
    this.todo.delete(lost);
    this.threads[this.threads.indexOf(lost)] = fresh;
    this.todo.set(
      fresh,
      [...this.placed.values()].filter(({ id }) => wanted.has(id)),
    );
    this.advance();
  }
}
