import { factsOf } from '../../../infra/endpoints/call-error';
import { OVERRIDE_ARM } from '../../../infra/predictions/schema';
import type { ErrorCode } from '../../../workflows/domain/errors';
import { SlipwayError } from '../../../workflows/domain/errors';
import { NORMAL } from '../execution/batch-queue';
import { type BatchItem, type DropReason, failureOf, type ItemFailure } from '../execution/batching';
import { toleratedRate } from '../routes/breaker';
import { calibratedOutputs, checkCalibrated } from './calibrated-output';
import type { Column } from './conversion';
import type { TraceParent } from '../edge/trace';
import { wantsExplanation } from '../explain/explanation-outputs';
import type { InferenceCache } from './inference-cache';
import type { Answer } from './answer';
import type { InferenceContext, Reply } from './inference-context';
import { overloaded } from './inference-context';
import type { DecodedInputs } from './input-plan';
import { PairItem } from './pair-item';
import { CHALLENGER, CHAMPION } from '../records/prediction-row';
import type { V2Request } from './protocol';
import { ShadowItem } from './shadow-item';
import { problemOf } from './problem';
import type { LoadedRelease, ServedModel } from '../routes/served-model';
import { readLevel, readTimeoutMs } from './urgency';

/**
 * One request from its arm to its answer. A class and not closures: this is the hot path. Where the challenger fails,
 * by refusing what the champion accepts or in inference, the champion answers the caller and the challenger
 * is charged with the error.
 */
export class InferCall implements BatchItem {
  columns: readonly Column[] = [];
  rows = 0;
  deadlineMs = Infinity;
  private level: ReturnType<typeof readLevel> = NORMAL;
  private inputs: DecodedInputs | null = null;
  /** Whose inputs these are; not always who answers. */
  private readBy: LoadedRelease;
  private scores: Float32Array | null = null;
  private failure: SlipwayError | null = null;
  private isOnChallenger = false;
  private isAssignedToChallenger = false;
  private challengerFailure: ErrorCode | null = null;
  /** The caller left the challenger's server less time than its release allows: neither arm is judged by that, as with an override. */
  private isUncounted = false;
  /** Under which the scores are kept; null where they are not. */
  private cacheKey: string | null = null;

  constructor(
    private readonly service: InferenceContext,
    readonly served: ServedModel,
    readonly request: V2Request,
    readonly requestId: string,
    readonly key: string,
    readonly eventMs: number,
    readonly receivedMs: number,
    private readonly startedMs: number,
    private readonly reply: Reply,
    readonly traceparent: TraceParent,
  ) {
    this.readBy = served.champion;
  }

  /** Throws what the caller did wrong, and OVERLOADED. */
  start(): void {
    checkCalibrated(this.served.champion.manifest, this.request);
    const { executor, timeoutMs } = this.service.options;
    const { timeout, priority } = this.request.parameters;
    this.deadlineMs = executor.nowMs() + readTimeoutMs(timeout, timeoutMs);
    this.level = readLevel(priority);
    this.isAssignedToChallenger = this.served.takesChallenger(this.key, this.startedMs);
    if (!this.isAssignedToChallenger || !this.tryChallenger()) this.tryChampion();
  }

  get isGone(): boolean {
    return this.reply.isGone;
  }

  /**
   * What only waited is no arm's error. An arm that was at work when the deadline passed is charged with it: a release that
   * hangs must not look like one without traffic.
   */
  drop(reason: DropReason, begun: boolean): void {
    const error =
      reason === 'gone'
        ? new SlipwayError('CANCELLED', 'the caller left before its turn')
        : new SlipwayError(
            'DEADLINE_EXCEEDED',
            begun ? 'the deadline passed during inference' : 'the deadline passed before its turn',
          );
    const isCharged = reason === 'deadline' && begun;
    if (!isCharged && this.challengerFailure === null)
      return this.service.refuse(this.served, error, this.startedMs, this.reply);
    if (isCharged && this.isOnChallenger) this.challengerFailure = error.code;
    this.failure = error;
    this.finish();
  }

  settle(error: ItemFailure | null, scores: Float32Array, offset: number): void {
    const problem =
      error ?? (areFinite(scores, offset, this.rows) ? null : 'the model gave a score that is not finite');
    if (problem === null) {
      this.scores = scores.slice(offset, offset + this.rows);
      if (this.cacheKey !== null) this.served.cacheOf(this.release)?.put(this.cacheKey, this.scores, this.startedMs);
      this.finish();
    } else if (this.isOnChallenger) this.fallBack(failureOf(problem));
    else {
      this.failure = failureOf(problem);
      this.finish();
    }
  }

  /** The champion answers where the challenger fails. */
  get hasFallback(): boolean {
    return this.isOnChallenger;
  }

  answer(): void {
    const latencyMs = this.service.options.nowMs() - this.startedMs;
    const { metrics } = this.service.options;
    const arm = this.isOnChallenger ? 'challenger' : 'champion';
    const { model, generation } = this.served.route;
    metrics.countRequest(model, arm, this.failure?.code ?? 'ok', latencyMs);
    if (this.failure) return this.fail(this.failure);
    const { release, requestId } = this;
    const scores = this.scores!;
    const outputs = calibratedOutputs(release.manifest, this.request, scores);
    const answer: Answer = { release, arm, generation, requestId, scores, outputs };
    if (wantsExplanation(release.manifest, this.request)) void this.explain(answer);
    else this.reply.answer(answer);
  }

  private fail(failure: SlipwayError): void {
    const { model, generation } = this.served.route;
    const { traceparent } = this;
    this.service.options.failures?.note({ model, generation, code: failure.code, traceparent });
    this.reply.refuse(problemOf(failure));
  }

  /** An explanation that was only asked for may be left out under pressure; one that the policy demands may not. */
  private async explain(answer: Answer): Promise<void> {
    const { metrics, explainer } = this.service.options;
    const { model } = this.served.route;
    this.service.workBegan();
    try {
      if (!explainer) throw new SlipwayError('INFERENCE_FAILED', 'answers are not explained here');
      const outputs = await explainer.explain({ ...answer, columns: this.columns });
      metrics.countExplanation(model, 'given');
      this.reply.answer({ ...answer, outputs: [...answer.outputs, ...outputs] });
    } catch (error) {
      const isDue = answer.release.manifest.serving.explain.when === 'always';
      metrics.countExplanation(model, isDue ? 'refused' : 'left-out');
      if (isDue) this.reply.refuse(problemOf(error));
      else this.reply.answer(answer);
    } finally {
      this.service.workEnded();
    }
  }

  private get release(): LoadedRelease {
    return this.isOnChallenger ? this.served.challenger! : this.served.champion;
  }

  /** False when the challenger cannot read the request; the champion may. */
  private tryChallenger(): boolean {
    const challenger = this.served.challenger!;
    const isEndpoint = challenger.endpoint !== undefined;
    try {
      checkCalibrated(challenger.manifest, this.request);
      this.take(challenger, challenger.plan.decode(this.request));
      this.isOnChallenger = true;
      // A server that cannot keep up is an error of its arm, where a queue of this process is nobody's.
      if (isEndpoint) this.submit(challenger);
    } catch (error) {
      this.challengerFailure = error instanceof SlipwayError ? error.code : 'INTERNAL';
      return false;
    }
    if (!isEndpoint) this.submit(challenger);
    return true;
  }

  private tryChampion(): void {
    const { champion } = this.served;
    this.isOnChallenger = false;
    this.take(champion, champion.plan.decode(this.request));
    this.submit(champion);
  }

  private submit(release: LoadedRelease): void {
    const cache = this.served.cacheOf(release);
    if (cache && this.isCached(cache)) return;
    const retryMs = release.scorer.submit(this, this.level);
    if (retryMs > 0) throw overloaded(retryMs);
  }

  private isCached(cache: InferenceCache): boolean {
    const { metrics } = this.service.options;
    this.cacheKey = cache.keyOf(this.columns, this.rows);
    if (this.cacheKey === null) return false;
    const scores = cache.get(this.cacheKey, this.startedMs);
    metrics.countCache(this.served.route.model, scores !== null);
    if (scores === null) return false;
    this.cacheKey = null;
    this.scores = scores;
    this.finish();
    this.service.answerSoon();
    return true;
  }

  private fallBack(error: SlipwayError): void {
    if (factsOf(error).isHasty) this.isUncounted = true;
    else this.challengerFailure = error.code;
    try {
      this.tryChampion();
    } catch (error) {
      // Neither arm can: the caller hears of the champion's reason.
      this.failure = error instanceof SlipwayError ? error : new SlipwayError('INTERNAL', String(error));
      this.finish();
    }
  }

  private take(readBy: LoadedRelease, inputs: DecodedInputs): void {
    this.readBy = readBy;
    this.inputs = inputs;
    this.columns = inputs.columns;
    this.rows = inputs.rows;
    if (inputs.flagged + inputs.imputed > 0) this.service.options.metrics.countInvalid(this.served.route.model, inputs);
  }

  private finish(): void {
    if (this.isUncounted) {
      this.service.answerAfterCommit(this);
      return this.logUncounted();
    }
    const isError = this.isAssignedToChallenger ? this.challengerFailure !== null : this.failure !== null;
    const arm = this.isAssignedToChallenger ? CHALLENGER : CHAMPION;
    const { route, observer, breaker } = this.served;
    const countAtMs = route.clock === 'event' ? this.eventMs : this.receivedMs;
    const isNewKey = observer.answer(arm, isError, this.key, countAtMs, this.service.options.nowMs() - this.startedMs);
    if (arm === CHALLENGER) {
      const tolerated = toleratedRate(observer.counts.requestsOf(CHAMPION), observer.counts.errorsOf(CHAMPION));
      if (breaker.record(isError, tolerated)) this.service.options.onBreakerTripped(this.served);
    }
    this.service.answerAfterCommit(this);
    this.logAndCompare(isNewKey);
  }

  private logUncounted(): void {
    const { served, requestId, key, eventMs, receivedMs, traceparent, rows, scores, readBy } = this;
    if (scores === null) return;
    this.service.options.log.add({
      ...{ served, requestId, key, eventMs, receivedMs, traceparent, rows, scores, status: 'ok' },
      ...{ arm: OVERRIDE_ARM, release: served.champion, inputs: this.inputs!, readBy },
      ...{ pairedRelease: null, pairedScores: null },
      latencyUs: Math.round((this.service.options.nowMs() - this.startedMs) * 1_000),
    });
  }

  /** The row goes to the log with the other arm's score where the route pairs them, off the caller's path. */
  private logAndCompare(isNewKey: boolean): void {
    const { served } = this;
    const inputs = this.inputs!;
    const logged = {
      served,
      arm: this.isAssignedToChallenger ? 'challenger' : 'champion',
      release: this.isAssignedToChallenger ? served.challenger! : served.champion,
      requestId: this.requestId,
      key: this.key,
      eventMs: this.eventMs,
      traceparent: this.traceparent,
      receivedMs: this.receivedMs,
      status: this.challengerFailure ?? this.failure?.code ?? 'ok',
      inputs,
      readBy: this.readBy,
      rows: this.rows,
      scores: this.challengerFailure ? null : this.scores,
      pairedRelease: this.challengerFailure && this.scores ? served.champion.ref.version : null,
      pairedScores: this.challengerFailure ? this.scores : null,
      latencyUs: Math.round((this.service.options.nowMs() - this.startedMs) * 1_000),
    };
    const other = this.isAssignedToChallenger ? served.champion : served.challenger;
    const isPaired = served.route.paired && other !== null && logged.scores !== null && served.mayTry(this.startedMs);
    if (isPaired) PairItem.start(this.service, logged, other, this.request, isNewKey);
    else this.service.options.log.add(logged);
    if (this.failure?.code === 'DEADLINE_EXCEEDED') return;
    if (served.shadows.length > 0 && served.mayTry(this.startedMs))
      ShadowItem.startAll(this.service, logged, this.request);
  }
}

function areFinite(scores: Float32Array, offset: number, rows: number): boolean {
  for (let row = 0; row < rows; row += 1) if (!Number.isFinite(scores[offset + row])) return false;
  return true;
}
