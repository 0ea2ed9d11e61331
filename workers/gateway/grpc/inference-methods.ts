import type { sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { ModelName } from '../../../workflows/domain/names';
import type { Answer, Reply, RequestHeaders } from '../inference-context';
import { modelMetadata, SERVER_METADATA } from '../metadata';
import { UNKNOWN_MODEL } from '../metrics';
import type { Models } from '../models';
import type { Problem } from '../responses';
import { problemOf } from '../responses';
import type { ServedModel } from '../served-model';
import { statusOf } from './grpc-status';
import { encodeAnswer } from './infer-answer';
import { InferMessage } from './infer-message';
import * as messages from './plain-messages';

type Call = ServerUnaryCall<Buffer, Buffer>;
type Done = sendUnaryData<Buffer>;
export type Method = (call: Call, done: Done) => void;

/** The methods of inference.GRPCInferenceService, from bytes to bytes. Whatever a caller sends is answered by a status; nothing throws. */
export function inferenceMethods(models: Models): Readonly<Record<string, Method>> {
  return {
    ServerLive: plain(() => messages.encodeFlag(true)),
    ServerReady: plain(() => messages.encodeFlag(models.isReady())),
    ModelReady: plain((request) => messages.encodeFlag(isModelReady(models, request))),
    ServerMetadata: plain(() => messages.encodeServerMetadata(SERVER_METADATA)),
    ModelMetadata: plain((request) => {
      const { name, version } = messages.decodeModel(request);
      return messages.encodeModelMetadata(modelMetadata(find(models, name, version)));
    }),
    RepositoryIndex: plain(() => messages.encodeIndex(models.allServed())),
    ModelInfer: (call, done) => infer(models, call, done),
  };
}

/** A method that answers at once. */
export function plain(answer: (request: Buffer) => Buffer): Method {
  return (call, done) => {
    try {
      done(null, answer(call.request));
    } catch (error) {
      done(statusOf(problemOf(error)));
    }
  };
}

/** Not an error, whatever the answer: that is the question. */
export function isModelReady(models: Models, request: Buffer): boolean {
  const { name, version } = messages.decodeModel(request);
  const served = models.served(name);
  return served !== undefined && (version === '' || hasVersion(served, version));
}

function infer(models: Models, call: Call, done: Done): void {
  const { service } = models;
  let served: ServedModel | undefined;
  try {
    const message = new InferMessage(call.request);
    served = models.served(message.model);
    if (!served) throw unknown(models, message.model);
    const untilMs = call.getDeadline() as number;
    const reply = new GrpcReply(call, done, message);
    service.infer(served, () => message.request(service.options.limits, untilMs), headersOf(call), reply);
  } catch (error) {
    const problem = problemOf(error);
    done(statusOf(problem));
    service.options.metrics.countRequest(served?.route.model ?? UNKNOWN_MODEL, 'none', problem.code, 0);
  }
}

/** Metadata has names in lower case, as the service takes them. Binary values are no use to it. */
function headersOf(call: Call): RequestHeaders {
  const headers = call.metadata.getMap();
  for (const name in headers) if (typeof headers[name] !== 'string') delete headers[name];
  return headers as RequestHeaders;
}

class GrpcReply implements Reply {
  constructor(
    private readonly call: Call,
    private readonly done: Done,
    private readonly message: InferMessage,
  ) {}

  get isGone(): boolean {
    return this.call.cancelled;
  }

  answer(answer: Answer): void {
    this.done(null, encodeAnswer(answer, this.message.isRaw));
  }

  refuse(problem: Problem): void {
    this.done(statusOf(problem));
  }
}

function find(models: Models, model: ModelName, version: string): ServedModel {
  const served = models.served(model);
  if (!served) throw unknown(models, model);
  if (version !== '' && !hasVersion(served, version))
    throw new SlipwayError('MODEL_UNKNOWN', `version ${version.slice(0, 40)} of ${model} is not served`);
  return served;
}

function hasVersion(served: ServedModel, version: string): boolean {
  return served.releases.some((release) => String(release.ref.version) === version);
}

function unknown(models: Models, model: ModelName): SlipwayError {
  const reason = models.notReady(model);
  if (reason !== null) return new SlipwayError('MODEL_NOT_READY', `${model} is not ready: ${reason}`);
  return new SlipwayError('MODEL_UNKNOWN', `no model ${JSON.stringify(model.slice(0, 100))} is served here`);
}
