import { SlipwayError } from '../../../workflows/domain/errors';
import { DEFAULT_SERVING } from '../../../workflows/domain/serving';
import type { Column } from '../inference/conversion';

/** At most so many rows go into one inference unless the model's spec says otherwise; a larger single request goes alone. */
export const MAX_BATCH_ROWS = DEFAULT_SERVING.batch.maxRows;
/** More than this only where the model is quick. */
export const BASE_BATCH_ROWS = 64;

/** Why an item gets no scores without the model having failed: its deadline passed, or its caller left. */
export type DropReason = 'deadline' | 'gone';

/** Why an item has no scores: what a model said, or an error of the catalogue where more is known. */
export type ItemFailure = string | SlipwayError;

export function failureOf(error: ItemFailure): SlipwayError {
  return typeof error === 'string' ? new SlipwayError('INFERENCE_FAILED', error) : error;
}

/** One request's rows on their way to one session. */
export interface BatchItem {
  readonly columns: readonly Column[];
  readonly rows: number;
  /** On the executor's clock; Infinity where nobody waits. */
  readonly deadlineMs: number;
  /** Nobody waits for the scores any more. */
  readonly isGone: boolean;
  /** Where this release fails in time, another one answers: it may not use up the caller's time. */
  readonly hasFallback?: boolean;
  /** Of rows that no caller waits for. */
  readonly purpose?: 'pair' | 'shadow';
  /** W3C trace context, as it came. */
  readonly traceparent?: string | readonly string[] | undefined;
  /** `scores` is the whole batch's output; this item's begin at `offset`. Called once, with an error or with scores. */
  settle(error: ItemFailure | null, scores: Float32Array, offset: number): void;
  /** Instead of `settle`. `begun`: the model was at work on it already. */
  drop(reason: DropReason, begun: boolean): void;
}

export interface Batch {
  readonly session: number;
  readonly items: BatchItem[];
  readonly rows: number;
}

/**
 * Gives each item its own scores. A batch that failed is tried again item by item by the caller; a failed single item is told.
 * Returns the items to try again singly.
 */
export function settleBatch(batch: Batch, output: Float32Array | null, error: string | null): readonly BatchItem[] {
  if (output !== null && output.length === batch.rows) {
    let offset = 0;
    for (const item of batch.items) {
      item.settle(null, output, offset);
      offset += item.rows;
    }
    return [];
  }
  if (batch.items.length > 1) return batch.items;
  const reason = error ?? `the model gave ${output?.length ?? 0} values for ${batch.rows} rows`;
  for (const item of batch.items) item.settle(reason, NO_SCORES, 0);
  return [];
}

/** Takes the place of an item that was dropped from a running batch: the rows of its neighbours stay where they are. */
class Dropped implements BatchItem {
  readonly columns = [];
  readonly deadlineMs = Infinity;
  readonly isGone = true;

  constructor(readonly rows: number) {}

  settle(): void {
    // Its caller has been told.
  }

  drop(): void {
    // Once is enough.
  }
}

/** Drops what is overdue of a batch that a thread has, and has `begun` or not; gives the earliest deadline that is left. */
export function sweepTaken(batch: Batch, nowMs: number, begun: boolean): number {
  let earliestMs = Infinity;
  batch.items.forEach((item, index) => {
    if (item.deadlineMs > nowMs) earliestMs = Math.min(earliestMs, item.deadlineMs);
    else {
      batch.items[index] = new Dropped(item.rows);
      item.drop('deadline', begun);
    }
  });
  return earliestMs;
}

const NO_SCORES = new Float32Array(0);
