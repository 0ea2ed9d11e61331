import { SlipwayError } from '../../../workflows/domain/errors';
import type { RequestHeaders } from '../inference-context';
import type { Caller, Callers } from './callers';
import { covers } from './gateway-file';
import { RateLimits } from './rate-limit';

/** Whether a request may have its body read at all: who sends it, whether they may ask this model, and how often. */
export class Admission {
  private readonly rates: RateLimits;

  /** `callers` are those of the operator's file as it is now; `nowMs` is monotonic. */
  constructor(
    private readonly callers: () => Callers,
    nowMs: () => number,
  ) {
    this.rates = new RateLimits(nowMs);
  }

  /** Nobody is asked who they are. */
  get isOpen(): boolean {
    return this.callers().isOpen;
  }

  /**
   * `model` null: anything that is about no model. At once where no token has to be verified.
   * Throws, or rejects with, UNAUTHENTICATED, FORBIDDEN and RATE_LIMITED.
   */
  admit(headers: RequestHeaders, model: string | null): Caller | Promise<Caller> {
    const caller = this.callers().identify(headers);
    return caller instanceof Promise ? caller.then((known) => this.check(known, model)) : this.check(caller, model);
  }

  private check(caller: Caller, model: string | null): Caller {
    if (model === null) return caller;
    if (!covers(caller.models, model))
      throw new SlipwayError('FORBIDDEN', `${caller.name} may not ask ${JSON.stringify(model.slice(0, 100))}`);
    const waitMs = caller.rate ? this.rates.take(caller.name, model, caller.rate) : 0;
    if (waitMs === 0) return caller;
    const { perSecond, burst } = caller.rate!;
    throw new SlipwayError(
      'RATE_LIMITED',
      `${caller.name} sent more than its quota for ${model}: ${perSecond} a second, ${burst} at once`,
      { retryAfterMs: waitMs },
    );
  }
}
