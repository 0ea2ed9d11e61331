import { bucketOf } from '../../../workflows/domain/route';
import { type BatchItem, failureOf, type ItemFailure } from '../execution/batching';
import type { Column } from './conversion';
import type { TraceParent } from '../edge/trace';
import type { InferenceContext } from './inference-context';
import type { DecodedInputs } from './input-plan';
import type { LoggedRequest } from '../records/prediction-row';
import type { V2Request } from './protocol';
import type { LoadedShadow } from '../routes/served-model';

/** A mirrored request: scored off the caller's path by a release that serves nobody, and logged beside what was answered. */
export class ShadowItem implements BatchItem {
  readonly deadlineMs = Infinity;
  readonly isGone = false;
  readonly purpose = 'shadow';

  private constructor(
    private readonly context: InferenceContext,
    private readonly logged: LoggedRequest,
    private readonly shadow: LoadedShadow,
    private readonly inputs: DecodedInputs,
    readonly columns: readonly Column[],
    readonly rows: number,
  ) {}

  /** Mirrors the request to each shadow whose sample it falls into: the same requests each time, by their ids. */
  static startAll(context: InferenceContext, answered: LoggedRequest, request: V2Request): void {
    for (const shadow of answered.served.shadows) {
      const { salt } = answered.served.route;
      if (bucketOf(`${salt} ${shadow.name}`, answered.requestId) < shadow.sample)
        ShadowItem.start(context, answered, shadow, request);
    }
  }

  private static start(
    context: InferenceContext,
    answered: LoggedRequest,
    shadow: LoadedShadow,
    request: V2Request,
  ): void {
    const { metrics } = context.options;
    const { model } = answered.served.route;
    let inputs: DecodedInputs;
    try {
      inputs = shadow.release.plan.decodeAgain(request, answered.readBy.plan, answered.inputs);
    } catch {
      // It takes other inputs than this caller sends: nothing to compare, and that is counted.
      return metrics.countComparison(model, 'shadow', 'failed');
    }
    const item = new ShadowItem(context, answered, shadow, inputs, inputs.columns, inputs.rows);
    context.workBegan();
    if (shadow.release.scorer.submitBackground(item)) return;
    context.workEnded();
    metrics.countComparison(model, 'shadow', 'dropped');
  }

  get traceparent(): TraceParent {
    return this.logged.traceparent;
  }

  drop(): void {
    this.context.workEnded();
  }

  settle(error: ItemFailure | null, scores: Float32Array, offset: number): void {
    const { log, metrics } = this.context.options;
    const { release, scores: answered, served } = this.logged;
    const own = scores.slice(offset, offset + this.rows);
    const isScored = error === null && own.every(Number.isFinite);
    metrics.countComparison(served.route.model, 'shadow', isScored ? 'scored' : 'failed');
    log.add({
      ...this.logged,
      arm: this.shadow.name,
      release: this.shadow.release,
      status: isScored ? 'ok' : failureOf(error ?? '').code,
      inputs: this.inputs,
      readBy: this.shadow.release,
      scores: isScored ? own : null,
      pairedRelease: answered ? release.ref.version : null,
      pairedScores: answered,
    });
    this.context.workEnded();
  }
}
