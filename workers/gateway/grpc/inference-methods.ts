import type { sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import type { Answer } from '../inference/answer';
import type { Reply } from '../inference/inference-context';
import { covers } from '../edge/gateway-file';
import { findModel, findRelease, pinned } from '../model-directory';
import { modelMetadata, SERVER_METADATA } from '../metadata';
import { UNKNOWN_MODEL } from '../metrics';
import type { Models } from '../models';
import type { Problem } from '../inference/problem';
import { problemOf } from '../inference/problem';
import type { ServedModel } from '../routes/served-model';
import { headersOf, permit } from './call-admission';
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
    ModelReady: plain((request, call) => {
      const { name, version } = messages.decodeModel(request);
      permit(models.admission, call, name);
      return messages.encodeFlag(isModelReady(models, name, version));
    }),
    ServerMetadata: plain(() => messages.encodeServerMetadata(SERVER_METADATA)),
    ModelMetadata: plain((request, call) => {
      const { name, version } = messages.decodeModel(request);
      permit(models.admission, call, name);
      const served = findModel(models, name);
      return messages.encodeModelMetadata(modelMetadata(served, findRelease(served, version === '' ? null : version)));
    }),
    RepositoryIndex: plain((_, call) => {
      const caller = permit(models.admission, call, null);
      return messages.encodeIndex(models.allServed().filter(({ route }) => covers(caller.models, route.model)));
    }),
    ModelInfer: (call, done) => infer(models, call, done),
  };
}

/** A method that answers at once. */
export function plain(answer: (request: Buffer, call: Call) => Buffer): Method {
  return (call, done) => {
    try {
      done(null, answer(call.request, call));
    } catch (error) {
      done(statusOf(problemOf(error)));
    }
  };
}

/** Not an error, whatever the answer: that is the question. */
function isModelReady(models: Models, name: string, version: string): boolean {
  const served = models.served(name);
  const release =
    version === '' ? served?.champion : served?.releases.find(({ ref }) => String(ref.version) === version);
  return release !== undefined && !release.endpoint?.refusal;
}

function infer(models: Models, call: Call, done: Done): void {
  const { service } = models;
  let served: ServedModel | undefined;
  try {
    const message = new InferMessage(call.request);
    permit(models.admission, call, message.model);
    const found = models.served(message.model) ?? findModel(models, message.model);
    served = message.version === '' ? found : pinned(found, message.version);
    const untilMs = call.getDeadline() as number;
    const reply = new GrpcReply(call, done, message);
    service.infer(served, () => message.request(service.options.limits, untilMs), headersOf(call.metadata), reply);
  } catch (error) {
    const problem = problemOf(error);
    done(statusOf(problem));
    service.options.metrics.countRequest(served?.route.model ?? UNKNOWN_MODEL, 'none', problem.code, 0);
  }
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
