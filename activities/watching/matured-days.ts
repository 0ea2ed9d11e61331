import type { WatchInput } from '../../workflows/deployment.activities';
import type { QualityCheckSpec } from '../../workflows/domain/spec';
import { ROW_LOSSES, meanLoss } from '../../workflows/domain/statistics/metrics';
import type { PairedDay } from '../../workflows/domain/statistics/paired-days';
import { daysBetween, spanOf } from '../../infra/predictions/mirror';
import type { PairedRows, PredictionReader } from '../../infra/predictions/reader';

/** Where a rollout's time stands. */
export interface Progress {
  /** Event time of the rollout's first request, epoch ms. */
  readonly firstMs: number;
  /** Watermark in event time, or now. */
  readonly untilMs: number;
  readonly nowMs: number;
}

/** Days with fewer labelled pairs are left out: their mean is a matter of a few rows. */
export const MIN_DAY_ROWS = 30;
/** A matured day is read at once where so many pairs have their label; otherwise it gets some grace. */
const WHOLE_COVERAGE = 0.95;
/** Labels travel in batches: so long in wall time a matured day may wait for them, however fast traffic is replayed. */
export const LABEL_GRACE_MS = 5000;
/** No rollout lasts longer; an event time that somebody made up may seem to say so. */
export const MAX_DAYS = 400;
const DAY_MS = 86_400_000;
/** A day with less is left out: which labels are missing may depend on the label. */
const LEAST_COVERAGE = 0.5;

/**
 * The days of a rollout whose labels have matured, each read once and kept, in order. Which day is read when depends on the
 * clock and on how many labels there are, never on their values, so that the sequence may be judged after each day.
 */
export class MaturedDays {
  private readonly settled = new Map<string, PairedDay | null>();
  private readonly firstSeenMs = new Map<string, number>();

  constructor(
    private readonly predictions: Pick<PredictionReader, 'pairedRows'>,
    private readonly input: WatchInput,
    private readonly check: QualityCheckSpec,
    private readonly maturityMs: number,
  ) {}

  /** Days settled so far, oldest first; a later day waits for an earlier one. */
  async read(progress: Progress): Promise<PairedDay[]> {
    const matured = this.maturedBy(progress);
    // The grace of all of them runs from now, not from when their turn comes.
    for (const day of matured) if (!this.firstSeenMs.has(day)) this.firstSeenMs.set(day, progress.nowMs);
    for (const day of matured) {
      if (this.settled.has(day)) continue;
      const rows = await this.rowsOf(day, progress, this.maturesAtMs(day));
      if (!this.mayClose(day, rows, progress)) break;
      this.settled.set(day, this.judge(day, rows));
    }
    return [...this.settled.values()].filter((day) => day !== null);
  }

  private maturedBy({ firstMs, untilMs }: Progress): string[] {
    const oldestMs = untilMs - this.maturityMs - MAX_DAYS * DAY_MS;
    return daysBetween(Math.max(firstMs, oldestMs), untilMs).filter((day) => this.maturesAtMs(day) <= untilMs);
  }

  private maturesAtMs(day: string): number {
    return spanOf(day).toMs + this.maturityMs;
  }

  private rowsOf(day: string, progress: Progress, maturedAtMs: number): Promise<PairedRows> {
    const { model, generations, rollout } = this.input;
    const challenger = rollout.release.version;
    return this.predictions.pairedRows({
      model,
      day,
      generations,
      challenger,
      fromMs: progress.firstMs,
      asOfMs: maturedAtMs,
    });
  }

  private mayClose(day: string, rows: PairedRows, progress: Progress): boolean {
    const firstSeenMs = this.firstSeenMs.get(day) ?? progress.nowMs;
    const isWhole = rows.paired > 0 && rows.labels.length >= WHOLE_COVERAGE * rows.paired;
    return isWhole || progress.nowMs - firstSeenMs >= LABEL_GRACE_MS;
  }

  private judge(day: string, rows: PairedRows): PairedDay | null {
    const labelled = rows.labels.length;
    if (labelled < MIN_DAY_ROWS || labelled < LEAST_COVERAGE * rows.paired) return null;
    const loss = ROW_LOSSES[this.check.metric];
    const championLoss = meanLoss(loss, rows.champion, rows.labels)!;
    return { day, rows: labelled, championLoss, challengerLoss: meanLoss(loss, rows.challenger, rows.labels)! };
  }
}
