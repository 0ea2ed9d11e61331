import type { IncomingMessage, ServerResponse } from 'node:http';
import type { SlipwayError } from '../../../workflows/domain/errors';
import type { Entrant } from '../edge/admission';
import type { BodyTaker } from './body';
import { readBody } from './body';
import type { Answer } from '../inference/answer';
import type { Reply } from '../inference/inference-context';
import { UNKNOWN_MODEL } from '../metrics';
import type { Models } from '../models';
import type { ModelTarget } from './paths';
import type { RequestLimits, V2Request } from '../inference/protocol';
import type { Problem } from '../inference/problem';
import { problemOf } from '../inference/problem';
import { encodeAnswer } from './responses';
import type { ServedModel } from '../routes/served-model';
import { encodeBinaryAnswer } from './binary-answer';
import type { OutputForm } from './binary-request';
import { parseHttpRequest } from './binary-request';
import { checkContentType, compressionOf, decompress } from './body-encoding';
import { HttpReply } from './http-reply';
import { findModel, pinned } from '../model-directory';

/** One request for inference, from its head to its answer. */
export abstract class Exchange extends HttpReply implements BodyTaker, Entrant, Reply {
  constructor(
    protected readonly parts: Models,
    private readonly target: ModelTarget,
    message: IncomingMessage,
    response: ServerResponse,
  ) {
    super(message, response);
  }

  start(): void {
    const { admission } = this.parts;
    if (admission === undefined || admission.isOpen) this.admitted();
    else admission.ask(this.message.headers, this.target.model, this);
  }

  turnedAway(error: unknown): void {
    const problem = problemOf(error);
    this.refuseUnread(problem);
    this.count(problem);
  }

  admitted(): void {
    const { headers } = this.message;
    try {
      checkContentType(headers['content-type']);
      compressionOf(headers['content-encoding']);
    } catch (error) {
      this.message.resume();
      return this.fail(error);
    }
    readBody(this.message, this.limits.bodyBytes, this);
  }

  takeBody(error: SlipwayError | null, bytes: Buffer): void {
    if (error) return this.fail(error);
    const compression = compressionOf(this.message.headers['content-encoding']);
    if (compression === null) return this.infer(bytes);
    decompress(bytes, compression, this.limits, (problem, unpacked) => {
      if (problem) this.fail(problem);
      else this.infer(unpacked);
    });
  }

  abstract answer(answer: Answer): void;

  /** Throws what is wrong with the body. */
  protected abstract read(bytes: Buffer, served: ServedModel): V2Request;

  protected get limits(): RequestLimits {
    return this.parts.service.options.limits;
  }

  /** The model is looked up now: a body may take half a minute, and what served at its beginning may be taken back by now (invariant I4). */
  protected infer(bytes: Buffer): void {
    let served: ServedModel;
    try {
      served = this.find();
    } catch (error) {
      return this.fail(error);
    }
    this.parts.service.infer(served, () => this.read(bytes, served), this.message.headers, this);
  }

  protected find(): ServedModel {
    const { model, version } = this.target;
    const served = this.parts.served(model) ?? findModel(this.parts, model);
    return version === null ? served : pinned(served, version);
  }

  /** What never reached the service is counted here. */
  protected fail(error: unknown): void {
    const problem = problemOf(error);
    this.refuse(problem);
    this.count(problem);
  }

  private count({ code }: Problem): void {
    const model = this.parts.served(this.target.model) ? this.target.model : UNKNOWN_MODEL;
    this.parts.service.options.metrics.countRequest(model, 'none', code, 0);
  }
}

/** `/v2/models/<model>/infer`: JSON and binary tensors. */
export class InferExchange extends Exchange {
  private form: OutputForm | null = null;

  answer(answer: Answer): void {
    if (this.form === null) return this.send(200, encodeAnswer(answer));
    const { head, body } = encodeBinaryAnswer(answer, this.form);
    if (head === null) return this.sendLong(200, body, [], 'application/json');
    this.sendLong(200, body, ['Inference-Header-Content-Length', head], 'application/octet-stream');
  }

  protected read(bytes: Buffer): V2Request {
    const length = this.message.headers['inference-header-content-length'];
    const request = parseHttpRequest(bytes, length as string | undefined, this.limits);
    this.form = request.form;
    return request;
  }
}
