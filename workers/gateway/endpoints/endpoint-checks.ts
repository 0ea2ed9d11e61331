import { SlipwayError } from '../../../workflows/domain/errors';
import type { Column } from '../inference/conversion';
import { type EndpointHealth, LOOK_AGAIN_MS } from './endpoint-health';
import type { EndpointScorer } from './endpoint-scorer';

export interface EndpointChecksOptions {
  readonly scorer: Pick<EndpointScorer, 'score'>;
  readonly health: EndpointHealth;
  /** The release's samples as its inputs take them; none: there is nothing to check with. */
  readonly columns: readonly Column[];
  readonly outputs: readonly number[];
  readonly everyMs: number;
  /** Of one call. */
  readonly timeoutMs: number;
  readonly onChecked: () => void;
}

/** Other models, and the start of the gateway, wait for the first look. */
const OPENING_MS = 1_000;
/** Timers may fire a little before their time. */
const EARLY_MS = 5;

/**
 * Scores the release's samples again and again, on connections of their own. A server keeps nothing that a digest could be taken of: its
 * answers are the only thing to hold it to.
 */
export class EndpointChecks {
  private timer: NodeJS.Timeout | null = null;
  private isStopped = false;
  private lookedAtMs = -Infinity;

  constructor(private readonly options: EndpointChecksOptions) {}

  /** Looks once, a second at most: where that is not enough the next look follows behind. Throws what is no failing of the server, such as ENDPOINT_NOT_BOUND. */
  async begin(): Promise<void> {
    const error = await this.look(true);
    if (error && this.options.health.state === 'never-checked') throw error;
    this.schedule(error ? 0 : LOOK_AGAIN_MS);
  }

  stop(): void {
    this.isStopped = true;
    if (this.timer) clearTimeout(this.timer);
  }

  /** Requests may find out that something is wrong long before the next check is due. */
  private schedule(inMs = LOOK_AGAIN_MS): void {
    const { everyMs, outputs } = this.options;
    if (this.isStopped || outputs.length === 0) return;
    this.timer = setTimeout(() => void this.lookIfDue().finally(() => this.schedule()), Math.min(inMs, everyMs));
    this.timer.unref();
  }

  private async lookIfDue(): Promise<void> {
    const { health, everyMs } = this.options;
    if (health.isTroubled || performance.now() - this.lookedAtMs >= everyMs - EARLY_MS) await this.look(false);
  }

  private async look(isOpening: boolean): Promise<SlipwayError | null> {
    const { scorer, health, columns, outputs, timeoutMs, onChecked } = this.options;
    if (outputs.length === 0) return null;
    this.lookedAtMs = performance.now();
    const withinMs = isOpening ? Math.min(timeoutMs, OPENING_MS) : Infinity;
    try {
      const scores = await scorer.score(columns, outputs.length, withinMs);
      health.noteDifference(largestDifference(scores, outputs), isOpening);
      return null;
    } catch (error) {
      const known = error instanceof SlipwayError ? error : new SlipwayError('INTERNAL', 'the check failed in itself');
      health.noteFailedCheck(known, isOpening);
      return known;
    } finally {
      if (!this.isStopped && !isOpening) onChecked();
    }
  }
}

function largestDifference(scores: Float32Array, outputs: readonly number[]): number {
  let largest = 0;
  for (let row = 0; row < outputs.length; row += 1) {
    const expected = outputs[row]!;
    largest = Math.max(largest, Math.abs(scores[row]! - expected) / Math.max(1, Math.abs(expected)));
  }
  return largest;
}
