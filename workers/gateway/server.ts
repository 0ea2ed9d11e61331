import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SlipwayError } from '../../workflows/domain/errors';
import type { ModelName } from '../../workflows/domain/names';
import { readBody } from './http-body';
import type { InferenceService } from './inference';
import type { Answer, Reply } from './inference-context';
import { indexRow, modelMetadata, SERVER_METADATA } from './metadata';
import { UNKNOWN_MODEL } from './metrics';
import type { Target } from './paths';
import { parsePath } from './paths';
import { parseInferRequest } from './protocol';
import type { Problem } from './responses';
import { encodeAnswer, encodeProblem, problemOf } from './responses';
import type { ServedModel } from './served-model';

export interface ServerOptions {
  readonly host: string;
  readonly port: number;
  readonly service: InferenceService;
  readonly served: (model: ModelName) => ServedModel | undefined;
  readonly allServed: () => readonly ServedModel[];
  /** Known by a route, but no release of it is open yet: why. */
  readonly notReady: (model: ModelName) => string | null;
  readonly isReady: () => boolean;
}

const HEADERS_TIMEOUT_MS = 10_000;
const BODY_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_MS = 65_000;
const DRAIN_SWEEP_MS = 50;
/** Callers that never finish sending or reading. */
const DRAIN_LIMIT_MS = 20_000;

/** V2 over HTTP on node:http, which costs the least of what Node has. */
export class GatewayServer {
  private readonly server: Server;
  private isDraining = false;

  constructor(private readonly options: ServerOptions) {
    this.server = createServer((message, response) => this.handle(message, response));
    this.server.headersTimeout = HEADERS_TIMEOUT_MS;
    this.server.requestTimeout = BODY_TIMEOUT_MS;
    this.server.keepAliveTimeout = KEEP_ALIVE_MS;
    this.server.on('clientError', (_error, socket) => {
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    });
  }

  /** Resolves with the address it listens on. Rejects with PORT_TAKEN. */
  async listen(): Promise<{ readonly host: string; readonly port: number; readonly url: string }> {
    const { host, port } = this.options;
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', (error: NodeJS.ErrnoException) => {
        reject(
          error.code === 'EADDRINUSE' ? new SlipwayError('PORT_TAKEN', `port ${port} of ${host} is taken`) : error,
        );
      });
      this.server.listen({ host, port, backlog: 1_024 }, resolve);
    });
    const address = this.server.address() as AddressInfo;
    return { host, port: address.port, url: `http://${host.includes(':') ? `[${host}]` : host}:${address.port}` };
  }

  /** Takes no new connection, answers what it has, closes what is idle. */
  async drain(): Promise<void> {
    this.isDraining = true;
    // A connection that was busy when draining began becomes idle later.
    const sweep = setInterval(() => this.server.closeIdleConnections(), DRAIN_SWEEP_MS);
    const limit = setTimeout(() => this.server.closeAllConnections(), DRAIN_LIMIT_MS);
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve());
      this.server.closeIdleConnections();
    });
    clearInterval(sweep);
    clearTimeout(limit);
  }

  private handle(message: IncomingMessage, response: ServerResponse): void {
    if (this.isDraining) response.setHeader('Connection', 'close');
    const target = parsePath(message.url ?? '/');
    const reply = new HttpReply(response);
    if (target?.kind === 'infer' && message.method === 'POST')
      return this.infer(target.model, target.version, message, reply);
    message.resume();
    this.answer(target, message, response, reply).catch((error: unknown) => reply.refuse(problemOf(error)));
  }

  private infer(model: ModelName, version: string | null, message: IncomingMessage, reply: HttpReply): void {
    const { service } = this.options;
    readBody(message, service.options.limits.bodyBytes, (error, body) => {
      // Not before: a body may take half a minute, and what served at its beginning may be taken back by now (invariant I4).
      const served = this.options.served(model);
      if (served && !error && version === null)
        return service.infer(served, () => parseInferRequest(body, service.options.limits), message.headers, reply);
      if (error?.code === 'REQUEST_TOO_LARGE') reply.closeAfter();
      const problem = problemOf(
        error ??
          (served
            ? new SlipwayError('REQUEST_INVALID', 'the route chooses the version; leave /versions/… out')
            : this.unknown(model)),
      );
      reply.refuse(problem);
      service.options.metrics.countRequest(served ? model : UNKNOWN_MODEL, 'none', problem.code, 0);
    });
  }

  private async answer(
    target: Target | null,
    message: IncomingMessage,
    response: ServerResponse,
    reply: HttpReply,
  ): Promise<void> {
    if (!target) throw new SlipwayError('NOT_FOUND', `there is nothing at this path`);
    const allowed = target.kind === 'infer' ? ['POST'] : target.kind === 'index' ? ['GET', 'POST'] : ['GET', 'HEAD'];
    if (!allowed.includes(message.method ?? ''))
      throw new SlipwayError('NOT_FOUND', `this path takes ${allowed.join(' and ')} only`);
    switch (target.kind) {
      case 'server':
        return reply.send(200, JSON.stringify(SERVER_METADATA));
      case 'live':
        return reply.send(200, '{"live":true}');
      case 'ready':
        return this.answerReady(reply);
      case 'index':
        return reply.send(200, JSON.stringify(this.options.allServed().map(indexRow)));
      case 'metrics':
        return this.answerMetrics(response);
      case 'metadata':
        return reply.send(200, JSON.stringify(modelMetadata(this.find(target.model, target.version))));
      case 'model-ready':
        return reply.send(
          200,
          JSON.stringify({ name: this.find(target.model, target.version).route.model, ready: true }),
        );
      case 'infer':
        throw new SlipwayError('NOT_FOUND', 'inference is a POST');
    }
  }

  private answerReady(reply: HttpReply): void {
    const ready = this.options.isReady() && !this.isDraining;
    reply.send(ready ? 200 : 503, JSON.stringify({ ready }));
  }

  private async answerMetrics(response: ServerResponse): Promise<void> {
    const { registry } = this.options.service.options.metrics;
    const body = await registry.metrics();
    response.writeHead(200, { 'Content-Type': registry.contentType }).end(body);
  }

  private find(model: ModelName, version: string | null): ServedModel {
    const served = this.options.served(model);
    if (!served) throw this.unknown(model);
    if (version !== null && !served.releases.some((release) => String(release.ref.version) === version)) {
      throw new SlipwayError('MODEL_UNKNOWN', `version ${version.slice(0, 40)} of ${model} is not served`);
    }
    return served;
  }

  private unknown(model: ModelName): SlipwayError {
    const reason = this.options.notReady(model);
    if (reason !== null) return new SlipwayError('MODEL_NOT_READY', `${model} is not ready: ${reason}`);
    return new SlipwayError('MODEL_UNKNOWN', `no model ${JSON.stringify(model.slice(0, 100))} is served here`);
  }
}

/** V2 JSON. */
class HttpReply implements Reply {
  constructor(private readonly response: ServerResponse) {}

  /** The connection is of no more use, since the rest of the body was not read. */
  closeAfter(): void {
    this.response.setHeader('Connection', 'close');
  }

  answer(answer: Answer): void {
    this.send(200, encodeAnswer(answer));
  }

  refuse(problem: Problem): void {
    if (problem.retryAfterSeconds !== null && !this.response.headersSent)
      this.response.setHeader('Retry-After', problem.retryAfterSeconds);
    this.send(problem.status, encodeProblem(problem));
  }

  send(status: number, body: string): void {
    if (this.response.headersSent || this.response.destroyed) return;
    this.response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
    this.response.end(body);
  }
}
