import type { Batch, BatchItem } from './batching';
import { BASE_BATCH_ROWS, MAX_BATCH_ROWS } from './batching';
import { Lane } from './lane';
import { ServiceTime } from './service-time';

export const URGENT = 0;
export const NORMAL = 1;
/** Paired and shadow scores, which no caller waits for. */
export const BACKGROUND = 2;
export type Level = typeof URGENT | typeof NORMAL | typeof BACKGROUND;
const LEVELS: readonly Level[] = [URGENT, NORMAL, BACKGROUND];

/** How many batches of higher levels may go before one of a level that waits. */
const PASSED_AT_MOST = 4;
/** A batch beyond BASE_BATCH_ROWS takes so long at most, by measured speed: whoever comes next waits for it. */
const QUICK_BATCH_MS = 4;
/** Work below this is not worth the second thread's turn. */
const SHARED_FROM_MS = 1;

export interface BatchLimits {
  readonly maxRows: number;
  /** How long a batch may wait for company; 0 for not at all. */
  readonly windowMs: number;
}

export const NO_WAITING: BatchLimits = { maxRows: MAX_BATCH_ROWS, windowMs: 0 };

/** One pause must not hide that many come at once otherwise. */
const LONGEST_BETWEEN_MS = 100;

/** What waits for one session, and what is known of its speed. */
class SessionQueue {
  readonly lanes = [new Lane(), new Lane(), new Lane()] as const;
  readonly time = new ServiceTime();
  private lastArrivalMs = -Infinity;
  private betweenArrivalsMs = 0;

  constructor(
    readonly id: number,
    readonly limits: BatchLimits,
  ) {}

  /** Of one batch. A quick model takes more, since what a batch costs whatever its size is then spread over more. */
  get mostRows(): number {
    const { msPerRow } = this.time;
    const quickRows = msPerRow === 0 ? 0 : Math.floor(QUICK_BATCH_MS / msPerRow);
    return Math.min(this.limits.maxRows, Math.max(BASE_BATCH_ROWS, quickRows));
  }

  arrived(nowMs: number): void {
    const betweenMs = Math.min(nowMs - this.lastArrivalMs, LONGEST_BETWEEN_MS);
    this.betweenArrivalsMs = this.betweenArrivalsMs * 0.8 + betweenMs * 0.2;
    this.lastArrivalMs = nowMs;
  }

  /**
   * When this lane goes at the latest. What comes during an inference gathers anyway, so waiting longer than one takes buys less
   * than it costs; and where nobody is expected within it, waiting buys nothing.
   */
  goesAtMs(lane: Lane): number {
    if (this.limits.windowMs === 0 || lane.rows >= this.mostRows) return 0;
    const windowMs = Math.min(this.limits.windowMs, this.time.msPerBatch);
    return this.betweenArrivalsMs > windowMs ? 0 : lane.sinceMs + windowMs;
  }
}

/**
 * Zero-delay micro-batching: whatever waits when a thread is free goes together, and nothing waits for company unless the model's
 * spec allows a window.
 *
 * 1. A higher level goes first; a level that waits has at least every sixth batch (so every level, under any load).
 * 2. Within a level sessions share inference *time* (start-time fair queueing): a slow model does not slow a quick one down more
 *    than by its own turn.
 * 3. Within a lane, first come, first served.
 */
export class BatchQueue {
  private readonly sessions = new Map<number, SessionQueue>();
  private readonly active = LEVELS.map(() => new Set<SessionQueue>());
  private readonly passed = [0, 0, 0];
  private readonly clock = [0, 0, 0];
  private readonly waiting = [0, 0, 0];
  /** Grows whenever something was dropped: its callers are to be told. */
  dropped = 0;
  /** When `next` is worth another call although nothing new came: a window ends. Infinity otherwise. */
  holdsUntilMs = Infinity;

  open(session: number, limits: BatchLimits = NO_WAITING): void {
    this.sessions.set(session, new SessionQueue(session, limits));
  }

  /** Takes everything that waits for a session that ends. */
  close(session: number): BatchItem[] {
    const queue = this.sessions.get(session);
    this.sessions.delete(session);
    if (!queue) return [];
    return LEVELS.flatMap((level) => {
      this.waiting[level]! -= queue.lanes[level].rows;
      this.active[level]!.delete(queue);
      return queue.lanes[level].takeAll();
    });
  }

  /** False: there is no such session. */
  push(session: number, item: BatchItem, level: Level, nowMs: number): boolean {
    const queue = this.sessions.get(session);
    if (!queue) return false;
    const lane = queue.lanes[level];
    if (lane.isEmpty) {
      this.active[level]!.add(queue);
      lane.tag = Math.max(lane.tag, this.clock[level]!);
      lane.sinceMs = nowMs;
    }
    if (queue.limits.windowMs > 0) queue.arrived(nowMs);
    lane.push(item);
    this.waiting[level]! += item.rows;
    return true;
  }

  /** Tells how long a batch took, for estimates and fair shares. */
  measured(session: number, rows: number, ms: number): void {
    this.sessions.get(session)?.time.note(rows, ms);
  }

  get foregroundRows(): number {
    return this.waiting[URGENT]! + this.waiting[NORMAL]!;
  }

  get backgroundRows(): number {
    return this.waiting[BACKGROUND]!;
  }

  rowsOf(session: number, level: Level): number {
    return this.sessions.get(session)?.lanes[level].rows ?? 0;
  }

  /** How long an item that came now would wait for its turn: what goes before it, at measured speed, over `threads`. */
  waitMs(session: number, level: typeof URGENT | typeof NORMAL, threads: number): number {
    const queue = this.sessions.get(session);
    if (!queue) return 0;
    // Others at this level get as much time as this session does while it waits, and no more than they have use for.
    const aheadMs = this.backlogMs(level, queue.lanes[level].rows * queue.time.msPerRow);
    return (level === URGENT ? aheadMs : aheadMs + this.backlogMs(URGENT, Infinity)) / threads;
  }

  /** Mean time of one of the session's batches; 0 while it is unknown. */
  batchMsOf(session: number): number {
    return this.sessions.get(session)?.time.msPerBatch ?? 0;
  }

  /** Mean time of one of the session's rows; 0 while it is unknown. */
  rowMsOf(session: number): number {
    return this.sessions.get(session)?.time.msPerRow ?? 0;
  }

  /** Of all levels. */
  waitingRowsOf(session: number): number {
    return this.rowsOf(session, URGENT) + this.rowsOf(session, NORMAL) + this.rowsOf(session, BACKGROUND);
  }

  get isWaiting(): boolean {
    return this.waiting[URGENT]! + this.waiting[NORMAL]! + this.waiting[BACKGROUND]! > 0;
  }

  private backlogMs(level: Level, atMostMs: number): number {
    let sumMs = 0;
    for (const { lanes, time } of this.active[level]!) sumMs += Math.min(lanes[level].rows * time.msPerRow, atMostMs);
    return sumMs;
  }

  /**
   * The next batch, or null where nothing may go now. `canRun`: a thread that has the session is free. `threads`: how many are
   * free, which share the work of a lane when it is worth their turn.
   */
  next(nowMs: number, canRun: (session: number) => boolean = always, threads = 1): Batch | null {
    this.holdsUntilMs = Infinity;
    for (let turn = 0; turn < 2 * LEVELS.length; turn += 1) {
      const level = turn < LEVELS.length ? LEVELS[turn]! : LEVELS[turn - LEVELS.length]!;
      const isStarvingTurn = turn < LEVELS.length;
      if (this.active[level]!.size === 0 || (isStarvingTurn && this.passed[level]! < PASSED_AT_MOST)) continue;
      const batch = this.takeFrom(level, nowMs, canRun, threads);
      if (batch) return batch;
    }
    return null;
  }

  /** Drops what is overdue; gives the earliest deadline of what still waits, Infinity where nothing does. */
  sweep(nowMs: number): number {
    let earliestMs = Infinity;
    for (const level of LEVELS) {
      for (const queue of this.active[level]!) {
        const lane = queue.lanes[level];
        const before = lane.rows;
        earliestMs = Math.min(earliestMs, lane.sweep(nowMs));
        this.waiting[level]! += lane.rows - before;
        if (lane.isEmpty) this.active[level]!.delete(queue);
      }
    }
    return earliestMs;
  }

  private takeFrom(level: Level, nowMs: number, canRun: (session: number) => boolean, threads: number): Batch | null {
    for (;;) {
      const queue = this.pick(level, nowMs, canRun);
      if (!queue) return null;
      const lane = queue.lanes[level];
      const items: BatchItem[] = [];
      const before = lane.rows;
      const rows = lane.take(shareOf(queue, lane, threads), nowMs, items);
      this.waiting[level]! += lane.rows - before;
      lane.sinceMs = nowMs;
      if (lane.isEmpty) this.active[level]!.delete(queue);
      if (rows < before - lane.rows) this.dropped += 1;
      // All of it was dropped: another lane may have something.
      if (items.length === 0) continue;
      this.clock[level] = lane.tag;
      lane.tag += queue.time.msPerRow * rows || 1;
      this.passed[level] = 0;
      for (let lower = level + 1; lower < LEVELS.length; lower += 1)
        if (this.active[lower]!.size > 0) this.passed[lower]! += 1;
      return { session: queue.id, items, rows };
    }
  }

  private pick(level: Level, nowMs: number, canRun: (session: number) => boolean): SessionQueue | null {
    let best: SessionQueue | null = null;
    for (const queue of this.active[level]!) {
      const lane = queue.lanes[level];
      if (best && best.lanes[level].tag <= lane.tag) continue;
      if (!canRun(queue.id)) continue;
      const goesAtMs = level === NORMAL ? queue.goesAtMs(lane) : 0;
      if (goesAtMs > nowMs) this.holdsUntilMs = Math.min(this.holdsUntilMs, goesAtMs);
      else best = queue;
    }
    return best;
  }
}

function always(): boolean {
  return true;
}

/** Rows of one batch. Several free threads share a lane evenly, where one would do all of it while the others idle. */
function shareOf({ mostRows, time }: SessionQueue, lane: Lane, threads: number): number {
  if (threads === 1 || lane.rows * time.msPerRow < SHARED_FROM_MS || !time.isWorthSharing(lane.rows)) return mostRows;
  return Math.min(mostRows, Math.ceil(lane.rows / threads));
}
