import { CallError, factsOf } from '../../../infra/endpoints/call-error';
import type { EndpointClient } from '../../../infra/endpoints/endpoint-client';
import type { Purpose } from '../../../infra/endpoints/http-call';
import { type ErrorCode, SlipwayError } from '../../../workflows/domain/errors';
import { traceIdOf } from '../edge/trace';
import { NORMAL, URGENT } from '../execution/batch-queue';
import type { BatchItem } from '../execution/batching';
import type { Scorer } from '../execution/scorer';
import type { EndpointHealth } from './endpoint-health';

export interface EndpointScorerOptions {
  readonly client: EndpointClient;
  readonly health: EndpointHealth;
  /** How long what comes may have to wait for a free slot before it is refused as too many. */
  readonly maxWaitMs: number;
  /** Monotonic; deadlines of items are on it. */
  readonly nowMs: () => number;
  /** Called once after an item was settled: counts are written down, then the answer leaves. */
  readonly onSettled: () => void;
  /** `hasty`: the caller, and not the release, left too little time. */
  readonly onCall: (outcome: ErrorCode | 'ok' | 'hasty', ms: number) => void;
  readonly onClosed: () => void;
}

interface Waiting {
  readonly item: BatchItem;
  /** When this release's time for it is over. */
  readonly untilMs: number;
  /** That is earlier than the release would allow: its caller is in a hurry. */
  readonly isHurried: boolean;
  timer: NodeJS.Timeout | null;
}

const MAX_WAITING = 1_024;
/** As in the executor: callers of a slow server wait for so many of its answers, however long those take. */
const CALLS_WAITED_FOR = 4;
/** What one call weighs in the mean against all before it. */
const KEPT = 0.9;
/** Timers have whole milliseconds, and may fire a little before their time. */
const EARLY_MS = 2;
const NO_SCORES = new Float32Array(0);

/**
 * Scores rows by calls to a server that exists.
 *
 * 1. At most the binding's `maxInFlight` items are out at once; the others wait, first come first served, `priority` 1 before the rest.
 * 2. An item has the descriptor's time from when it came, a time for each call that it takes, and never more than its caller allows; half of
 *    that where another arm must still have time to answer.
 * 3. Pairs and shadows go only while more than half of the slots are free, and never wait.
 */
export class EndpointScorer implements Scorer {
  inFlight = 0;
  private readonly lanes: readonly [Waiting[], Waiting[]] = [[], []];
  private meanMs = 0;
  private isClosed = false;

  constructor(private readonly options: EndpointScorerOptions) {}

  submit(item: BatchItem, level: typeof URGENT | typeof NORMAL = NORMAL): number {
    this.options.client.codec.check(item.columns, item.rows);
    const refusal = this.refusal();
    if (refusal) {
      this.failSoon(item, refusal);
      return 0;
    }
    const nowMs = this.options.nowMs();
    const allowed = this.allowed(item, nowMs);
    const { untilMs } = allowed;
    const retryMs = this.retryMs(level, untilMs - nowMs);
    if (retryMs > 0) return retryMs;
    const waiting: Waiting = { item, ...allowed, timer: null };
    this.lanes[level].push(waiting);
    this.dispatch();
    // A timer only for what did not go at once.
    if (this.lanes[level].includes(waiting))
      waiting.timer = setTimeout(() => this.expire(level, waiting), untilMs - nowMs + EARLY_MS);
    return 0;
  }

  submitBackground(item: BatchItem): boolean {
    if (this.refusal() || this.inFlight >= this.slots() / 2 || this.waiting > 0) return false;
    try {
      this.options.client.codec.check(item.columns, item.rows);
      this.run({ item, ...this.allowed(item, this.options.nowMs()) }, item.purpose ?? 'pair');
    } catch (error) {
      this.failSoon(item, knownError(error));
    }
    return true;
  }

  score(columns: BatchItem['columns'], rows: number, withinMs = Infinity): Promise<Float32Array> {
    return this.options.client.score(columns, rows, { purpose: 'check', withinMs });
  }

  close(): void {
    this.isClosed = true;
    for (const { item, timer } of this.lanes.flatMap((lane) => lane.splice(0))) {
      if (timer) clearTimeout(timer);
      item.settle('the release was taken out', NO_SCORES, 0);
    }
    this.options.onSettled();
    this.options.client.close();
    this.options.onClosed();
  }

  get waiting(): number {
    return this.lanes[URGENT].length + this.lanes[NORMAL].length;
  }

  private refusal(): SlipwayError | null {
    return this.isClosed
      ? new SlipwayError('MODEL_NOT_READY', 'the release was taken out')
      : this.options.health.admit();
  }

  /** 0, or how long until it is worth another try. Where nothing waits there is always room for one. */
  private retryMs(level: typeof URGENT | typeof NORMAL, leftMs: number): number {
    const ahead = level === URGENT ? this.lanes[URGENT].length : this.waiting;
    if (ahead === 0) return 0;
    const waitMs = (ahead / this.slots()) * this.meanMs;
    const patienceMs = Math.min(leftMs, Math.max(this.options.maxWaitMs, CALLS_WAITED_FOR * this.meanMs));
    return ahead >= MAX_WAITING || waitMs > patienceMs ? Math.max(1, waitMs) : 0;
  }

  private allowed({ rows, deadlineMs, hasFallback }: BatchItem, nowMs: number): Omit<Waiting, 'item' | 'timer'> {
    const { client } = this.options;
    const leftMs = (deadlineMs - nowMs) * (hasFallback ? 0.5 : 1);
    const wholeMs = client.descriptor.timeoutMs * client.callsOf(rows);
    return { untilMs: nowMs + Math.min(leftMs, wholeMs), isHurried: leftMs < wholeMs };
  }

  /** Unbound in the meantime: the call itself says so. */
  private slots(): number {
    try {
      return this.options.client.maxInFlight;
    } catch {
      return 1;
    }
  }

  private dispatch(): void {
    const slots = this.slots();
    while (this.inFlight < slots) {
      const next = this.lanes[URGENT].shift() ?? this.lanes[NORMAL].shift();
      if (!next) return;
      if (next.timer) clearTimeout(next.timer);
      if (next.item.isGone) this.dropSoon(next.item);
      else this.run(next, 'serve');
    }
  }

  private run(out: Omit<Waiting, 'timer'>, purpose: Purpose): void {
    const { item, untilMs } = out;
    const { client, nowMs, health } = this.options;
    const { traceparent } = item;
    const startedMs = nowMs();
    const trace = typeof traceparent === 'string' && traceIdOf(traceparent) !== null ? { traceparent } : {};
    this.inFlight += 1;
    const onAnswer = (): void => health.noteCall(null);
    client.score(item.columns, item.rows, { purpose, withinMs: untilMs - startedMs, onAnswer, ...trace }).then(
      (scores) => this.ran(out, null, scores, startedMs),
      (error: unknown) => this.ran(out, knownError(error), NO_SCORES, startedMs),
    );
  }

  private ran(
    { item, isHurried }: Omit<Waiting, 'timer'>,
    caught: SlipwayError | null,
    scores: Float32Array,
    startedMs: number,
  ): void {
    const { nowMs, health, onCall, onSettled } = this.options;
    const tookMs = nowMs() - startedMs;
    this.inFlight -= 1;
    this.meanMs = this.meanMs === 0 ? tookMs : this.meanMs * KEPT + tookMs * (1 - KEPT);
    // Callers who allow a few milliseconds must not make others believe that the server is away.
    if (!factsOf(caught).isHasty) health.noteCall(caught);
    const error = isHurried ? caught : withoutExcuse(caught);
    onCall(factsOf(error).isHasty ? 'hasty' : (error?.code ?? 'ok'), tookMs);
    if (error?.code === 'ENDPOINT_TIMEOUT' && nowMs() >= item.deadlineMs - EARLY_MS) item.drop('deadline', true);
    else item.settle(error, scores, 0);
    onSettled();
    this.dispatch();
  }

  private expire(level: typeof URGENT | typeof NORMAL, waiting: Waiting): void {
    const lane = this.lanes[level];
    const at = lane.indexOf(waiting);
    if (at < 0) return;
    lane.splice(at, 1);
    const { item, isHurried } = waiting;
    if (item.isGone) item.drop('gone', false);
    else if (this.options.nowMs() >= item.deadlineMs - EARLY_MS) item.drop('deadline', false);
    else
      item.settle(
        new CallError('ENDPOINT_TIMEOUT', 'no call was free within the time of this release', { isHasty: isHurried }),
        NO_SCORES,
        0,
      );
    this.options.onSettled();
  }

  /** Not within `submit`, whose caller is not done with the item yet. */
  private failSoon(item: BatchItem, error: SlipwayError): void {
    this.soon(() => item.settle(error, NO_SCORES, 0));
  }

  private dropSoon(item: BatchItem): void {
    this.soon(() => item.drop('gone', false));
  }

  private soon(tell: () => void): void {
    setImmediate(() => {
      tell();
      this.options.onSettled();
    });
  }
}

/** A defect of ours must not be told in the words of an error that may quote a value. */
function knownError(error: unknown): SlipwayError {
  return error instanceof SlipwayError
    ? error
    : new SlipwayError('INTERNAL', 'the call of an endpoint failed in itself');
}

/** A call that had little time left after it waited for a slot: its arm cannot keep up, and no caller was in a hurry. */
function withoutExcuse(error: SlipwayError | null): SlipwayError | null {
  return factsOf(error).isHasty ? new SlipwayError(error!.code, error!.message) : error;
}
