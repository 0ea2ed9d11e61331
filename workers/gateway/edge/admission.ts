import type { ErrorCode } from '../../../workflows/domain/errors';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { RequestHeaders } from '../inference/inference-context';
import type { Caller, Callers } from './callers';
import { covers } from './gateway-file';
import { RateLimits } from './rate-limit';

/** Who waits to be let in. Neither method may throw. */
export interface Entrant {
  admitted(caller: Caller): void;
  turnedAway(error: unknown): void;
}

/** Codes that a caller is turned away with. */
export type RefusalCode = Extract<ErrorCode, 'UNAUTHENTICATED' | 'FORBIDDEN' | 'RATE_LIMITED'>;

/** Whether a request may have its body read at all: who sends it, whether they may ask this model, and how often. */
export class Admission {
  /** Counted by code and never by caller (invariant I11). */
  readonly refusals: Record<RefusalCode, number> = { UNAUTHENTICATED: 0, FORBIDDEN: 0, RATE_LIMITED: 0 };
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
    try {
      const caller = this.callers().identify(headers);
      if (!(caller instanceof Promise)) return model === null ? caller : this.check(caller, model);
      return this.admitLater(caller, model);
    } catch (error) {
      throw this.counted(error);
    }
  }

  /** As `admit`; the entrant hears of it, without a promise where none is needed. */
  ask(headers: RequestHeaders, model: string, entrant: Entrant): void {
    let caller: Caller | Promise<Caller>;
    try {
      caller = this.admit(headers, model);
    } catch (error) {
      return entrant.turnedAway(error);
    }
    if (!(caller instanceof Promise)) return entrant.admitted(caller);
    caller.then(
      (known) => entrant.admitted(known),
      (error: unknown) => entrant.turnedAway(error),
    );
  }

  /** Of a caller who is known: this model, now. Throws FORBIDDEN and RATE_LIMITED. */
  permit(caller: Caller, model: string): Caller {
    try {
      return this.check(caller, model);
    } catch (error) {
      throw this.counted(error);
    }
  }

  private async admitLater(identified: Promise<Caller>, model: string | null): Promise<Caller> {
    let caller: Caller;
    try {
      caller = await identified;
    } catch (error) {
      throw this.counted(error);
    }
    return model === null ? caller : this.permit(caller, model);
  }

  private check(caller: Caller, model: string): Caller {
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

  private counted(error: unknown): unknown {
    if (error instanceof SlipwayError && error.code in this.refusals) this.refusals[error.code as RefusalCode] += 1;
    return error;
  }
}
