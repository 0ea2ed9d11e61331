import type { BatchItem, ItemFailure } from '../execution/batching';
import type { Column } from './conversion';
import type { TraceParent } from '../edge/trace';
import type { InferenceContext } from './inference-context';
import type { AnsweredRequest } from '../records/prediction-row';
import type { V2Request } from './protocol';
import type { LoadedRelease } from '../routes/served-model';

/**
 * The other arm's score of rows that were answered already. It waits behind callers, is dropped under pressure and then
 * counted as dropped; a failure of it is no error of its arm, since no caller was given to that arm.
 */
export class PairItem implements BatchItem {
  readonly deadlineMs = Infinity;
  readonly isGone = false;
  readonly purpose = 'pair';

  private constructor(
    private readonly service: InferenceContext,
    private readonly logged: AnsweredRequest,
    private readonly other: LoadedRelease,
    private readonly isNewKey: boolean,
    readonly columns: readonly Column[],
    readonly rows: number,
  ) {}

  static start(
    service: InferenceContext,
    logged: AnsweredRequest,
    other: LoadedRelease,
    request: V2Request,
    isNewKey: boolean,
  ): void {
    const { metrics, log } = service.options;
    const { model } = logged.served.route;
    let columns: readonly Column[];
    try {
      columns = other.plan.decodeAgain(request, logged.readBy.plan, logged.inputs).columns;
    } catch {
      // The other arm takes other inputs than this caller sends: no comparison, and that is counted.
      metrics.countComparison(model, 'pair', 'failed');
      return log.add(logged);
    }
    const item = new PairItem(service, logged, other, isNewKey, columns, logged.rows);
    service.workBegan();
    if (other.scorer.submitBackground(item)) return;
    service.workEnded();
    metrics.countComparison(model, 'pair', 'dropped');
    log.add(logged);
  }

  get traceparent(): TraceParent {
    return this.logged.traceparent;
  }

  drop(): void {
    this.service.workEnded();
  }

  settle(error: ItemFailure | null, scores: Float32Array, offset: number): void {
    const { log, metrics } = this.service.options;
    const { served, key, scores: own } = this.logged;
    const paired = scores.slice(offset, offset + this.rows);
    if (error !== null || !paired.every(Number.isFinite)) {
      metrics.countComparison(served.route.model, 'pair', 'failed');
      log.add(this.logged);
    } else {
      metrics.countComparison(served.route.model, 'pair', 'scored');
      if (this.isNewKey) {
        const atMs = served.route.clock === 'event' ? this.logged.eventMs : this.logged.receivedMs;
        served.observer.pair(key, meanAbsoluteDifference(own!, paired), atMs);
      }
      log.add({ ...this.logged, pairedRelease: this.other.ref.version, pairedScores: paired });
    }
    this.service.workEnded();
  }
}

/** Of a request's rows: one number for each request, since its rows are no independent trials. */
function meanAbsoluteDifference(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let row = 0; row < a.length; row += 1) sum += Math.abs(a[row]! - b[row]!);
  return sum / a.length;
}
