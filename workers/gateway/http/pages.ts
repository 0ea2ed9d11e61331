import type { IncomingMessage, ServerResponse } from 'node:http';
import { SlipwayError } from '../../../workflows/domain/errors';
import { bodyOf } from '../http-body';
import { indexRow, modelMetadata, SERVER_METADATA } from '../metadata';
import type { FixedTarget, Target } from '../paths';
import { parseJsonObject } from '../protocol';
import type { HttpReply } from './http-reply';
import type { ExchangeParts } from './infer-exchange';
import { findModel, findRelease } from './model-directory';
import { openApiText } from './openapi';

/** What the pages tell of. */
export interface PageParts extends ExchangeParts {
  /** Followed models of which nothing is served yet, and why; none where the server follows nothing. */
  readonly waiting?: () => readonly { readonly model: string; readonly reason: string }[];
  readonly isReady: () => boolean;
}

const READ: readonly string[] = ['GET', 'HEAD', 'OPTIONS'];
const INFERENCE: readonly string[] = ['POST', 'OPTIONS'];
/** A filter of a few bytes. */
const INDEX_BODY_BYTES = 4_096;

export function methodsOf({ kind }: Target): readonly string[] {
  if (kind === 'infer' || kind === 'predict') return INFERENCE;
  return kind === 'index' ? ['GET', 'HEAD', 'POST', 'OPTIONS'] : READ;
}

/** Answers everything but inference. Rejects with what is to be refused. */
export async function answerPage(
  parts: PageParts,
  target: Target | null,
  message: IncomingMessage,
  response: ServerResponse,
  reply: HttpReply,
): Promise<void> {
  const method = message.method ?? '';
  if (method === 'OPTIONS' && (target !== null || message.url === '*')) return answerOptions(target, response);
  if (target === null) throw new SlipwayError('NOT_FOUND', 'there is nothing at this path');
  const methods = methodsOf(target);
  if (!methods.includes(method)) {
    response.setHeader('Allow', methods.join(', '));
    throw new SlipwayError('METHOD_NOT_ALLOWED', `this path takes ${methods.join(', ')}`);
  }
  if (target.kind === 'index') return answerIndex(parts, message, reply);
  if (target.kind === 'metrics') {
    const { metrics } = parts.service.options;
    return reply.send(200, await metrics.page(), metrics.registry.contentType);
  }
  answerTarget(parts, target, reply);
}

function answerOptions(target: Target | null, response: ServerResponse): void {
  response.writeHead(204, { Allow: target ? methodsOf(target).join(', ') : 'GET, HEAD, POST, OPTIONS' }).end();
}

function answerTarget(parts: PageParts, target: Target, reply: HttpReply): void {
  switch (target.kind) {
    case 'metadata': {
      const served = findModel(parts, target.model);
      return sendJson(reply, modelMetadata(served, findRelease(served, target.version)));
    }
    case 'model-ready':
      findRelease(findModel(parts, target.model), target.version);
      return sendJson(reply, { name: target.model, ready: true });
    case 'v1-model':
      findModel(parts, target.model);
      return sendJson(reply, { name: target.model, ready: true });
    case 'infer':
    case 'predict':
      throw new SlipwayError('METHOD_NOT_ALLOWED', 'inference is a POST');
    default:
      return answerFixed(parts, target, reply);
  }
}

function answerFixed(parts: PageParts, { kind }: FixedTarget, reply: HttpReply): void {
  switch (kind) {
    case 'server':
      return sendJson(reply, SERVER_METADATA);
    case 'live':
      return reply.send(200, '{"live":true}');
    case 'ready': {
      const ready = parts.isReady();
      return reply.send(ready ? 200 : 503, JSON.stringify({ ready }));
    }
    case 'v1-models':
      return sendJson(reply, { models: parts.allServed().map(({ route }) => route.model) });
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
async function answerIndex(parts: PageParts, message: IncomingMessage, reply: HttpReply): Promise<void> {
  const body = await bodyOf(message, INDEX_BODY_BYTES);
  sendJson(reply, indexRows(parts, body.length > 0 && wantsReady(body.toString('utf8'))));
}

function wantsReady(text: string): boolean {
  const { ready } = parseJsonObject(text);
  if (ready !== undefined && typeof ready !== 'boolean')
    throw new SlipwayError('REQUEST_INVALID', '`ready` must be true or false');
  return ready === true;
}

function indexRows(parts: PageParts, onlyReady: boolean): object[] {
  const served = parts.allServed().map(indexRow);
  if (onlyReady) return served;
  const waiting = parts.waiting?.() ?? [];
  return [
    ...served,
    ...waiting.map(({ model, reason }) => ({ name: model, version: '', state: 'UNAVAILABLE', reason })),
  ];
}
