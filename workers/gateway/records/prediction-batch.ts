import type { ModelName } from '../../../workflows/domain/names';
import type { BatchLayout } from './prediction-layout';

/**
 * Rows of one model for the log thread: a record for each request, as doubles one after the other, NaN for what is missing. A record is
 * a head, then column by column its rows' scores, paired scores and inputs. Texts are codes (places in a list of the
 * batch), or bytes in `text`: of each request its id, its key and its trace's id. The two buffers are handed over, not copied, and come back.
 */
export interface PredictionBatch {
  readonly model: ModelName;
  readonly sequence: number;
  readonly layout: BatchLayout;
  readonly requests: number;
  readonly numbers: ArrayBuffer;
  readonly text: ArrayBuffer;
  /** What the codes of `ARM` and `STATUS` mean. */
  readonly labels: readonly string[];
  /** What the codes of each input mean; empty where it is a number. */
  readonly categories: readonly (readonly string[])[];
}

/** A record's layout. One object, taken apart where it is used: a loop over an imported name looks it up each time. */
export const RECORD = {
  ROWS: 0,
  EVENT_MS: 1,
  RECEIVED_MS: 2,
  ARM: 3,
  RELEASE: 4,
  STATUS: 5,
  PAIRED_RELEASE: 6,
  LATENCY_US: 7,
  ID_BYTES: 8,
  /** SAME_AS_ID, or NO_TEXT, or how many. */
  KEY_BYTES: 9,
  /** NO_TEXT, or how many. */
  TRACE_BYTES: 10,
  /** Doubles before the columns. */
  HEAD: 11,

  /** Places of columns: all rows of a request, then the next column. */
  SCORE: 0,
  PAIRED_SCORE: 1,
  FIRST_INPUT: 2,

  NO_TEXT: -1,
  /** Of requests that are assigned by their id, which is the usual way. */
  SAME_AS_ID: -2,
} as const;
