import type { IncomingMessage, ServerResponse } from 'node:http';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { Caller } from '../edge/callers';
import { ANYBODY } from '../edge/callers';
import { covers } from '../edge/gateway-file';
import { bodyOf } from './body';
import { indexRow, modelMetadata, serverMetadata } from '../metadata';
import type { Models } from '../models';
import type { FixedTarget, Target } from './paths';
import { parseJsonObject } from '../inference/protocol';
import type { ServedModel } from '../routes/served-model';
import type { HttpReply } from './http-reply';
import { checkAnswers, findModel, findRelease } from '../model-directory';
import { openApiText } from './openapi';

const READ: readonly string[] = ['GET', 'HEAD', 'OPTIONS'];
const INFERENCE: readonly string[] = ['POST', 'OPTIONS'];
/** A filter of a few bytes. */
const INDEX_BODY_BYTES = 4_096;

function methodsOf({ kind }: Target): readonly string[] {
  if (kind === 'infer' || kind === 'predict') return INFERENCE;
  return kind === 'index' ? ['GET', 'HEAD', 'POST', 'OPTIONS'] : READ;
}

/** Answers everything but inference. Rejects with what is to be refused. */
export async function answerPage(
  parts: Models,
  target: Target | null,
  message: IncomingMessage,
  response: ServerResponse,
  reply: HttpReply,
): Promise<void> {
  const method = message.method ?? '';
  if (method === 'OPTIONS' && (target !== null || message.url === '*')) return answerOptions(target, response);
  if (target === null)
    throw new SlipwayError('NOT_FOUND', 'there is nothing at this path; GET /openapi.json lists what there is');
  const methods = methodsOf(target);
  if (!methods.includes(method)) {
    response.setHeader('Allow', methods.join(', '));
    throw new SlipwayError('METHOD_NOT_ALLOWED', `this path takes ${methods.join(', ')}`);
  }
  const caller = await admitted(parts, target, message);
  if (target.kind === 'index') return answerIndex(parts, caller, message, reply);
  if (target.kind === 'metrics') {
    const { metrics } = parts.service.options;
    return reply.send(200, await metrics.page(), metrics.registry.contentType);
  }
  answerTarget(parts, caller, target, reply);
}

/** Open to everybody: what tells nothing of models and callers. */
const OPEN: readonly Target['kind'][] = ['server', 'live', 'ready', 'openapi'];

function admitted({ admission }: Models, target: Target, { headers }: IncomingMessage): Caller | Promise<Caller> {
  if (admission === undefined || admission.isOpen || OPEN.includes(target.kind)) return ANYBODY;
  return admission.admit(headers, 'model' in target ? target.model : null);
}

function answerOptions(target: Target | null, response: ServerResponse): void {
  response.writeHead(204, { Allow: target ? methodsOf(target).join(', ') : 'GET, HEAD, POST, OPTIONS' }).end();
}

function answerTarget(parts: Models, caller: Caller, target: Target, reply: HttpReply): void {
  switch (target.kind) {
    case 'metadata': {
      const served = findModel(parts, target.model);
      return sendJson(reply, modelMetadata(served, findRelease(served, target.version)));
    }
    case 'model-ready':
      checkAnswers(findRelease(findModel(parts, target.model), target.version));
      return sendJson(reply, { name: target.model, ready: true });
    case 'v1-model':
      checkAnswers(findModel(parts, target.model).champion);
      return sendJson(reply, { name: target.model, ready: true });
    case 'infer':
    case 'predict':
      throw new SlipwayError('METHOD_NOT_ALLOWED', 'inference is a POST');
    default:
      return answerFixed(parts, caller, target, reply);
  }
}

function answerFixed(parts: Models, caller: Caller, { kind }: FixedTarget, reply: HttpReply): void {
  switch (kind) {
    case 'server':
      return sendJson(reply, serverMetadata(parts.admission?.isOpen ?? true));
    case 'live':
      return reply.send(200, '{"live":true}');
    case 'ready': {
      const ready = parts.isReady();
      return reply.send(ready ? 200 : 503, JSON.stringify({ ready }));
    }
    case 'v1-models':
      return sendJson(reply, { models: servedTo(parts, caller).map(({ route }) => route.model) });
    case 'openapi':
      return reply.send(200, openApiText());
    case 'index':
    case 'metrics':
      throw new Error(`${kind} is answered before`);
  }
}

function sendJson(reply: HttpReply, body: object): void {
  reply.send(200, JSON.stringify(body));
}

/** `{"ready": true}` leaves out what is not ready (the model repository extension). */
async function answerIndex(parts: Models, caller: Caller, message: IncomingMessage, reply: HttpReply): Promise<void> {
  const body = await bodyOf(message, INDEX_BODY_BYTES);
  sendJson(reply, indexRows(parts, caller, body.length > 0 && wantsReady(body.toString('utf8'))));
}

function wantsReady(text: string): boolean {
  const { ready } = parseJsonObject(text);
  if (ready !== undefined && typeof ready !== 'boolean')
    throw new SlipwayError('REQUEST_INVALID', '`ready` must be true or false');
  return ready === true;
}

/** Those that the caller may ask. */
function servedTo(parts: Models, caller: Caller): ServedModel[] {
  return parts.allServed().filter(({ route }) => covers(caller.models, route.model));
}

function indexRows(parts: Models, caller: Caller, onlyReady: boolean): object[] {
  const served = servedTo(parts, caller).map(indexRow);
  if (onlyReady) return served.filter(({ state }) => state === 'READY');
  const waiting = (parts.waiting?.() ?? []).filter(({ model }) => covers(caller.models, model));
  return [
    ...served,
    ...waiting.map(({ model, reason }) => ({ name: model, version: '', state: 'UNAVAILABLE', reason })),
  ];
}
