import { ApplicationFailure, CancellationScope, condition } from '@temporalio/workflow';
import { envelopeProblem, type Envelope } from './domain/envelope';
import type { ErrorCode } from './domain/errors';
import type { Receipt } from './lifecycle.messages';

/** One message that waits for its receipt. */
export interface Delivery<Kind extends string> {
  readonly id: string;
  readonly kind: Kind;
  readonly envelope: Envelope;
  receipt: Receipt | null;
}

/** More than any honest sender leaves unanswered; what comes beyond is refused before it reaches the history. */
export const MAX_WAITING = 100;
const FULL = `${MAX_WAITING} messages wait for an answer`;

/**
 * Messages by update and by signal, in order of arrival. Handlers check shape, put in and wait for the receipt; one loop
 * takes out, decides and answers.
 */
export class Inbox<Kind extends string> {
  private readonly waiting: Delivery<Kind>[] = [];
  private unanswered = 0;

  /** For update validators: throws, which leaves nothing in the history. */
  check(envelope: unknown): void {
    const problem = envelopeProblem(envelope);
    if (problem) throw ApplicationFailure.nonRetryable(problem, 'USAGE' satisfies ErrorCode);
    if (this.isFull) throw ApplicationFailure.nonRetryable(FULL, 'OVERLOADED' satisfies ErrorCode);
  }

  /** For signal handlers, which cannot throw: why the message is not taken in; undefined where it may be. */
  problemOf(envelope: unknown): string | undefined {
    return envelopeProblem(envelope) ?? (this.isFull ? FULL : undefined);
  }

  private get isFull(): boolean {
    return this.unanswered >= MAX_WAITING;
  }

  put(id: string, kind: Kind, envelope: Envelope): Delivery<Kind> {
    const delivery: Delivery<Kind> = { id, kind, envelope, receipt: null };
    this.waiting.push(delivery);
    this.unanswered += 1;
    return delivery;
  }

  /** For update handlers. A cancelled workflow still answers. */
  async receiptFor(id: string, kind: Kind, envelope: Envelope): Promise<Receipt> {
    const delivery = this.put(id, kind, envelope);
    await CancellationScope.nonCancellable(() => condition(() => delivery.receipt !== null));
    return delivery.receipt!;
  }

  /** Takes the oldest deliveries that may be decided now. */
  take(ready: (delivery: Delivery<Kind>) => boolean = () => true): Delivery<Kind>[] {
    const taken = this.waiting.filter(ready);
    for (const delivery of taken) this.waiting.splice(this.waiting.indexOf(delivery), 1);
    return taken;
  }

  has(ready: (delivery: Delivery<Kind>) => boolean = () => true): boolean {
    return this.waiting.some(ready);
  }

  answer(delivery: Delivery<Kind>, receipt: Receipt): void {
    delivery.receipt = receipt;
    this.unanswered -= 1;
  }

  /** Somebody waits besides the one that is being decided. */
  get isContended(): boolean {
    return this.unanswered > 1;
  }

  /** Nothing waits and nothing is being decided. */
  get idle(): boolean {
    return this.unanswered === 0;
  }
}
