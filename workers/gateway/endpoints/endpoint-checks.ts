import { SlipwayError } from '../../../workflows/domain/errors';
import type { Column } from '../inference/conversion';
import type { Scorer } from '../execution/scorer';
import { type EndpointHealth, LOOK_AGAIN_MS } from './endpoint-health';

export interface EndpointChecksOptions {
  readonly scorer: Pick<Scorer, 'score'>;
  readonly health: EndpointHealth;
  /** The release's samples as its inputs take them; none: there is nothing to check with. */
  readonly columns: readonly Column[];
  readonly outputs: readonly number[];
  readonly everyMs: number;
  readonly onChecked: () => void;
}

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

  /** Looks once. Throws what is no failing of the server, such as ENDPOINT_NOT_BOUND. */
  async begin(): Promise<void> {
    const error = await this.look(true);
    if (error && this.options.health.state === 'never-checked') throw error;
    this.schedule();
  }

  stop(): void {
    this.isStopped = true;
    if (this.timer) clearTimeout(this.timer);
  }

  /** Requests may find out that something is wrong long before the next check is due. */
  private schedule(): void {
    const { everyMs, outputs } = this.options;
    if (this.isStopped || outputs.length === 0) return;
    this.timer = setTimeout(
      () => void this.lookIfDue().finally(() => this.schedule()),
      Math.min(LOOK_AGAIN_MS, everyMs),
    );
    this.timer.unref();
  }

  private async lookIfDue(): Promise<void> {
    const { health, everyMs } = this.options;
    if (health.isTroubled || performance.now() - this.lookedAtMs >= everyMs - EARLY_MS) await this.look(false);
  }

  private async look(isOpening: boolean): Promise<SlipwayError | null> {
    const { scorer, health, columns, outputs, onChecked } = this.options;
    if (outputs.length === 0) return null;
    this.lookedAtMs = performance.now();
    try {
      health.noteDifference(largestDifference(await scorer.score(columns, outputs.length), outputs), isOpening);
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
