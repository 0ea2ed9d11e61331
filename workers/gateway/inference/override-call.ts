import { OVERRIDE_ARM } from '../../../infra/predictions/schema';
import { SlipwayError } from '../../../workflows/domain/errors';
import { type BatchItem, type DropReason, failureOf, type ItemFailure } from '../execution/batching';
import { calibratedOutputs, checkCalibrated } from './calibrated-output';
import type { Column } from './conversion';
import type { TraceParent } from '../edge/trace';
import type { InferenceContext, Reply } from './inference-context';
import { overloaded } from './inference-context';
import type { DecodedInputs } from './input-plan';
import type { V2Request } from './protocol';
import type { LoadedRelease, ServedModel } from '../routes/served-model';
import { readLevel, readTimeoutMs } from './urgency';

/** What an override shares with every request. */
export interface OverrideRequest {
  readonly served: ServedModel;
  readonly request: V2Request;
  readonly requestId: string;
  readonly key: string;
  readonly eventMs: number;
  readonly receivedMs: number;
  readonly startedMs: number;
  readonly traceparent: TraceParent;
}

/**
 * A tester's request, answered by the arm that a signed permit names. No random sample of anybody's traffic: no verdict, key, breaker,
 * pair or shadow hears of it, and the log has it apart.
 */
export class OverrideCall implements BatchItem {
  readonly columns: readonly Column[];
  readonly rows: number;
  readonly deadlineMs: number;
  private readonly release: LoadedRelease;
  private readonly inputs: DecodedInputs;

  /** Throws COMMAND_REFUSED where the arm is not there, or may not serve now, and what the caller did wrong. */
  constructor(
    private readonly service: InferenceContext,
    private readonly call: OverrideRequest,
    private readonly arm: string,
    private readonly reply: Reply,
  ) {
    const { executor, timeoutMs } = service.options;
    this.release = releaseOf(call.served, arm, call.startedMs);
    checkCalibrated(this.release.manifest, call.request);
    this.inputs = this.release.plan.decode(call.request);
    this.columns = this.inputs.columns;
    this.rows = this.inputs.rows;
    this.deadlineMs = executor.nowMs() + readTimeoutMs(call.request.parameters.timeout, timeoutMs);
  }

  /** Throws OVERLOADED. */
  start(): void {
    const level = readLevel(this.call.request.parameters.priority);
    const retryMs = this.release.scorer.submit(this, level);
    if (retryMs > 0) throw overloaded(retryMs);
  }

  get isGone(): boolean {
    return this.reply.isGone;
  }

  get traceparent(): TraceParent {
    return this.call.traceparent;
  }

  drop(reason: DropReason): void {
    this.refuse(
      reason === 'gone'
        ? new SlipwayError('CANCELLED', 'the caller left before its turn')
        : new SlipwayError('DEADLINE_EXCEEDED', 'the deadline passed'),
    );
  }

  settle(error: ItemFailure | null, scores: Float32Array, offset: number): void {
    const own = scores.slice(offset, offset + this.rows);
    if (error !== null || !own.every(Number.isFinite))
      return this.refuse(failureOf(error ?? 'the model gave a score that is not finite'));
    const { served, request, requestId, startedMs } = this.call;
    const { metrics, nowMs } = this.service.options;
    const { model, generation } = served.route;
    metrics.countRequest(model, OVERRIDE_ARM, 'ok', nowMs() - startedMs);
    this.reply.answer({
      ...{ release: this.release, arm: this.arm, generation, requestId },
      ...{ scores: own, outputs: calibratedOutputs(this.release.manifest, request, own) },
    });
    this.log(own);
  }

  private refuse(error: SlipwayError): void {
    this.service.refuse(this.call.served, error, this.call.startedMs, this.reply);
  }

  private log(scores: Float32Array): void {
    const { served, requestId, key, eventMs, receivedMs, startedMs, traceparent } = this.call;
    const { log, nowMs } = this.service.options;
    log.add({
      ...{ served, requestId, key, eventMs, receivedMs, scores, rows: this.rows, status: 'ok' },
      ...{ arm: OVERRIDE_ARM, release: this.release, inputs: this.inputs, readBy: this.release },
      ...{ pairedRelease: null, pairedScores: null, traceparent },
      latencyUs: Math.round((nowMs() - startedMs) * 1_000),
    });
  }
}

/** Nothing but what the route holds; on trial, only while it may be tried (invariant I4). */
function releaseOf(served: ServedModel, arm: string, nowMs: number): LoadedRelease {
  if (arm === 'champion') return served.champion;
  const release = arm === 'challenger' ? served.challenger : served.shadows.find(({ name }) => name === arm)?.release;
  const { model, generation } = served.route;
  if (!release) throw new SlipwayError('COMMAND_REFUSED', `generation ${generation} of ${model} has no arm ${arm}`);
  if (served.mayTry(nowMs)) return release;
  const why = served.breaker.isTripped ? 'its breaker tripped' : 'its route was not confirmed in time';
  throw new SlipwayError('COMMAND_REFUSED', `${arm} of ${model} may not serve now: ${why}`);
}
