import { FEW_REQUESTS } from '../../../workflows/domain/event-span';

/**
 * The instant that at least FEW_REQUESTS requests have reached, epoch ms: one caller whose clock is a day ahead, or who sends the
 * present in the midst of a replay, does not make all others late.
 */
export class ReachedTime {
  /** Latest instants, ascending. */
  private readonly latest = new Float64Array(FEW_REQUESTS).fill(-Infinity);

  /** `beforeMs` is what earlier requests had reached. */
  constructor(private readonly beforeMs: number | null) {}

  /** Null while too few came. */
  get ms(): number | null {
    const ms = Math.max(this.latest[0]!, this.beforeMs ?? -Infinity);
    return ms === -Infinity ? null : ms;
  }

  add(atMs: number): void {
    const { latest } = this;
    if (atMs <= latest[0]!) return;
    let at = 1;
    for (; at < latest.length && latest[at]! < atMs; at += 1) latest[at - 1] = latest[at]!;
    latest[at - 1] = atMs;
  }
}
