import { factsOf } from '../../../infra/endpoints/call-error';
import type { EndpointDescriptor } from '../../../infra/endpoints/descriptor';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { EndpointStatus } from '../routes/served-model';

/** Failed calls in a row after which callers are told at once, in place of waiting for a time-out each. */
const FAILURES_UNTIL_DOWN = 5;
/** How often a server that failed is looked at, or asked by one caller where there is nothing to look with. */
export const LOOK_AGAIN_MS = 2_000;

export const ENDPOINT_STATES = { 'never-checked': 0, good: 1, unreachable: 2, different: 3 } as const;
export type EndpointState = keyof typeof ENDPOINT_STATES;

/** What is known of the server behind one open release: whether it answers, and whether it answers as it was approved. */
export class EndpointHealth implements EndpointStatus {
  /** Largest difference from the samples at the last check, in parts of the larger of 1 and the sample; null before the first. */
  difference: number | null = null;
  private failures = 0;
  private isDown = false;
  private mismatches = 0;
  private lastError: SlipwayError | null = null;
  /** Why the last check got no scores although the server answered. */
  private uncheckable: SlipwayError | null = null;
  private lastTrialMs = -Infinity;
  private isChecked = false;

  constructor(
    private readonly descriptor: Pick<EndpointDescriptor, 'endpoint' | 'onChange' | 'check'>,
    /** Without samples nothing can be checked: then one caller tries, each two seconds. */
    private readonly hasSamples: boolean,
    private readonly nowMs: () => number,
  ) {}

  get isChanged(): boolean {
    return this.mismatches >= this.descriptor.check.consecutive;
  }

  /** Something is not as it should be: it is looked at more often. */
  get isTroubled(): boolean {
    return this.isDown || this.failures > 0 || this.mismatches > 0 || this.uncheckable !== null;
  }

  get state(): EndpointState {
    if (this.isChanged) return 'different';
    if (this.isDown) return 'unreachable';
    if (this.uncheckable) return 'unreachable';
    return this.isChecked ? 'good' : 'never-checked';
  }

  get problem(): SlipwayError | null {
    return this.isChanged ? this.changed : this.isDown ? this.unavailable : this.uncheckable;
  }

  get refusal(): SlipwayError | null {
    if (this.isChanged && this.descriptor.onChange === 'stop') return this.changed;
    return this.isDown ? this.unavailable : null;
  }

  /** Why a request is not even tried; null where it is. */
  admit(): SlipwayError | null {
    const { refusal } = this;
    const isTrial = refusal?.code === 'ENDPOINT_UNAVAILABLE' && !this.hasSamples;
    if (!isTrial || this.nowMs() - this.lastTrialMs < LOOK_AGAIN_MS) return refusal;
    this.lastTrialMs = this.nowMs();
    return null;
  }

  /** What became of a request. Only silence counts: a wrong answer is an answer, told to its caller, and found by the checks. */
  noteCall(error: SlipwayError | null): void {
    if (error === null || error.code === 'ENDPOINT_ANSWER_INVALID') {
      this.failures = 0;
      this.isDown = false;
    } else if (isSilence(error)) {
      this.failures += 1;
      this.lastError = error;
      if (this.failures >= FAILURES_UNTIL_DOWN) this.isDown = true;
    }
  }

  /**
   * Each sample got a score, the worst so far off. At the opening, and for what comes back after it was away, one look decides: it may be
   * another server by now. Later ones have to come in a row.
   */
  noteDifference(difference: number, isOpening = false): void {
    const isDeciding = isOpening || this.isDown;
    this.isChecked = true;
    this.failures = 0;
    this.isDown = false;
    this.uncheckable = null;
    this.difference = difference;
    if (difference <= this.descriptor.check.tolerance) this.mismatches = 0;
    else this.mismatches = isDeciding ? this.descriptor.check.consecutive : this.mismatches + 1;
  }

  /**
   * A check without scores. Only an answer of success that reads otherwise is another answer: a status (an expired token, a route that a
   * deployment took away) and silence say nothing of the model.
   */
  noteFailedCheck(error: SlipwayError, isOpening = false): void {
    const isAnswer = error.code === 'ENDPOINT_ANSWER_INVALID';
    if (isAnswer && factsOf(error).status === undefined) return this.noteDifference(Infinity, isOpening);
    if (!isAnswer && !isSilence(error)) return;
    if (isAnswer) this.uncheckable = new SlipwayError(error.code, `it cannot be checked: ${error.message}`);
    // What was never seen to answer as approved stays out until it is.
    if (!isAnswer || this.isChecked) this.noteCall(error);
    this.lastError = error;
    if (isOpening) this.isDown = true;
  }

  private get changed(): SlipwayError {
    const { endpoint, check } = this.descriptor;
    const off =
      this.difference === Infinity ? 'cannot be read' : `differ by up to ${Number(this.difference?.toPrecision(3))}`;
    const detail = `the endpoint ${endpoint} does not answer as it was approved: its answers to the release's samples ${off} (tolerance ${check.tolerance})`;
    return new SlipwayError('ENDPOINT_CHANGED', detail);
  }

  private get unavailable(): SlipwayError {
    const detail = `the endpoint ${this.descriptor.endpoint} is out: ${this.lastError?.message ?? 'it did not answer'}; it is looked at every ${LOOK_AGAIN_MS / 1_000} s`;
    return new SlipwayError('ENDPOINT_UNAVAILABLE', detail, { retryAfterMs: LOOK_AGAIN_MS });
  }
}

function isSilence({ code }: SlipwayError): boolean {
  return code === 'ENDPOINT_UNAVAILABLE' || code === 'ENDPOINT_TIMEOUT';
}
