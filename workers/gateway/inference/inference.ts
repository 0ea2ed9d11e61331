import { ARM_HEADER } from '../../../workflows/domain/arm-permit';
import { SlipwayError } from '../../../workflows/domain/errors';
import { assignmentKey } from './assignment';
import { CALIBRATED_OUTPUT } from './calibrated-output';
import { readEventTime } from './event-time';
import { isExplanation } from '../explain/explanation-outputs';
import { InferCall } from './infer-call';
import type { InferenceContext, InferenceOptions, Reply, RequestHeaders } from './inference-context';
import { OverrideCall } from './override-call';
import type { V2Request } from './protocol';
import { invalid, quote } from './protocol';
import { refusedRequest } from '../records/prediction-row';
import { problemOf } from './problem';
import type { ServedModel } from '../routes/served-model';

/** Takes V2 requests through parsing, arm, validation, inference, counting and logging to an answer. */
export class InferenceService implements InferenceContext {
  private readonly outbox: { answer(): void }[] = [];
  /** Of what goes on after its caller was answered. */
  private underWay = 0;
  private whenIdle: (() => void)[] = [];
  private sequence = 0;
  private isFlushScheduled = false;

  constructor(readonly options: InferenceOptions) {}

  /** Answers through `reply`, soon or at once; never throws. `read` parses the body: a transport's own form of it. */
  infer(served: ServedModel, read: () => V2Request, headers: RequestHeaders, reply: Reply): void {
    const startedMs = this.options.nowMs();
    try {
      const request = read();
      checkOutputs(request, served);
      const receivedMs = Date.now();
      const eventMs = readEventTime(request.parameters.event_time, served.route.clock, receivedMs);
      const requestId = request.id ?? `${this.options.incarnation}-${(this.sequence += 1)}`;
      const key = assignmentKey(served.route.assignment, request, headers, requestId, served.champion.plan);
      const { traceparent } = headers;
      const permit = headers[ARM_HEADER];
      if (permit !== undefined) {
        const call = { served, request, requestId, key, eventMs, receivedMs, startedMs, traceparent };
        return new OverrideCall(this, call, this.permittedArm(permit, served), reply).start();
      }
      this.start(
        new InferCall(this, served, request, requestId, key, eventMs, receivedMs, startedMs, reply, traceparent),
        startedMs,
      );
    } catch (error) {
      this.refuse(served, error, startedMs, reply);
    }
  }

  private permittedArm(permit: string | readonly string[], { route }: ServedModel): string {
    const { armPermits } = this.options;
    if (!armPermits) throw invalid('no arm can be asked for here: leave `slipway-arm` out');
    return armPermits.armOf(permit, route.model);
  }

  /** Values that the champion refuses are logged as such, so that the monitor sees callers whose data went wrong. */
  private start(call: InferCall, startedMs: number): void {
    try {
      call.start();
    } catch (error) {
      const { log, nowMs } = this.options;
      const latencyUs = Math.round((nowMs() - startedMs) * 1_000);
      const rows = call.request.inputs[0]?.shape[0] ?? 1;
      if (error instanceof SlipwayError && error.code === 'INPUT_INVALID')
        log.add(refusedRequest({ call, rows, code: error.code, latencyUs }));
      throw error;
    }
  }

  /** An answer to what the caller did wrong, or to what waits too long; counted by code, not against an arm. */
  refuse(served: ServedModel, error: unknown, startedMs: number, reply: Reply): void {
    const problem = problemOf(error);
    this.options.metrics.countRequest(served.route.model, 'none', problem.code, this.options.nowMs() - startedMs);
    reply.refuse(problem);
  }

  /** The call answers once its counts are written. */
  answerAfterCommit(call: { answer(): void }): void {
    this.outbox.push(call);
  }

  /** After each batch: counts first, then the answers that they count. */
  batchSettled(): void {
    this.options.commit();
    if (this.outbox.length === 0) return;
    const calls = this.outbox.splice(0);
    for (const call of calls) call.answer();
  }

  /** Answers that no batch brings leave with the others of this turn of the event loop. */
  answerSoon(): void {
    if (this.isFlushScheduled) return;
    this.isFlushScheduled = true;
    setImmediate(() => {
      this.isFlushScheduled = false;
      this.batchSettled();
    });
  }

  workBegan(): void {
    this.underWay += 1;
  }

  workEnded(): void {
    this.underWay -= 1;
    if (this.underWay === 0) for (const resolve of this.whenIdle.splice(0)) resolve();
  }

  /** All paired and shadow scores that were begun are in the log. */
  async settleBackground(): Promise<void> {
    if (this.underWay > 0) await new Promise<void>((resolve) => this.whenIdle.push(resolve));
  }
}

function checkOutputs({ outputs }: V2Request, { champion }: ServedModel): void {
  if (outputs === null) return;
  const { signature, serving } = champion.manifest;
  const { name } = signature.output;
  const unknown = outputs.find((output) => output !== name && output !== CALIBRATED_OUTPUT && !isExplanation(output));
  if (unknown !== undefined) throw invalid(`the model has no output ${quote(unknown)}; it has ${quote(name)}`);
  if (serving.explain.when === 'never' && outputs.some(isExplanation))
    throw invalid('the release gives no explanations; its spec says serving.explain.when: never');
}
