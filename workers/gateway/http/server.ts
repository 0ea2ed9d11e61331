import type { IncomingMessage, RequestListener, Server, ServerOptions as HttpOptions, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { TlsMaterial } from '../edge/certificates';
import { HttpReply } from './http-reply';
import { InferExchange } from './infer-exchange';
import type { Models } from '../models';
import { answerPage } from './pages';
import { PredictExchange } from './predict-exchange';
import { refuseRaw } from './raw-refusal';
import { Paths } from './paths';
import type { Problem } from '../inference/problem';
import { problemOf } from '../inference/problem';

export interface ServerOptions extends Models {
  readonly host: string;
  readonly port: number;
  readonly timeouts?: Partial<ServerTimeouts>;
  /** HTTP without TLS where it is left out. */
  readonly tls?: TlsMaterial;
}

/** What callers may take, milliseconds. */
export interface ServerTimeouts {
  /** For all headers. */
  readonly headersMs: number;
  /** For the whole request. */
  readonly requestMs: number;
  readonly keepAliveMs: number;
}

const TIMEOUTS: ServerTimeouts = { headersMs: 10_000, requestMs: 30_000, keepAliveMs: 65_000 };
/** How often node:http looks for requests that are late; its own 30 s would be added to each limit. */
const LATENESS_SWEEP_MS = 1_000;
const HEADER_BYTES = 16_384;
const DRAIN_SWEEP_MS = 50;
/** Callers that never finish sending or reading. */
const DRAIN_LIMIT_MS = 20_000;

/** V2 and V1 over HTTP on node:http, which costs the least of what Node has. */
export class GatewayServer {
  private readonly server: Server | HttpsServer;
  private readonly paths = new Paths();
  private readonly pages: Models;
  private readonly headerLimit: number;
  private isDraining = false;

  constructor(private readonly options: ServerOptions) {
    const { headersMs, requestMs, keepAliveMs } = { ...TIMEOUTS, ...options.timeouts };
    this.pages = { ...options, isReady: () => options.isReady() && !this.isDraining };
    this.headerLimit = options.service.options.limits.headers;
    this.server = openServer(
      options.tls,
      {
        headersTimeout: headersMs,
        requestTimeout: requestMs,
        keepAliveTimeout: keepAliveMs,
        maxHeaderSize: HEADER_BYTES,
        connectionsCheckingInterval: Math.min(LATENESS_SWEEP_MS, headersMs),
      },
      (message, response) => this.handle(message, response),
    );
    // One more than the limit, so that too many are seen: node:http leaves the others out without a word.
    this.server.maxHeadersCount = this.headerLimit + 1;
    this.server.on('clientError', refuseRaw);
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
    return {
      host,
      port: address.port,
      url: `${this.options.tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${address.port}`,
    };
  }

  /** Another certificate, for connections from now on. */
  renew(material: TlsMaterial): void {
    if ('setSecureContext' in this.server) this.server.setSecureContext(material);
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
    const target = this.paths.find(message.url ?? '/');
    if (message.rawHeaders.length > this.headerLimit * 2) return this.refuseHeaders(message, response);
    if (message.method === 'POST' && target !== null) {
      if (target.kind === 'infer') return new InferExchange(this.options, target, message, response).start();
      if (target.kind === 'predict') return new PredictExchange(this.options, target, message, response).start();
    }
    const reply = new HttpReply(message, response);
    // A body that nobody asked for; what a page reads itself, it reads before this runs dry.
    if (target?.kind !== 'index') message.resume();
    answerPage(this.pages, target, message, response, reply).catch((error: unknown) =>
      refusePage(reply, problemOf(error)),
    );
  }

  private refuseHeaders(message: IncomingMessage, response: ServerResponse): void {
    message.resume();
    const problem = problemOf(new SlipwayError('REQUEST_TOO_LARGE', `more than ${this.headerLimit} headers`));
    new HttpReply(message, response).refuse(problem);
  }
}

function openServer(tls: TlsMaterial | undefined, options: HttpOptions, handle: RequestListener): Server | HttpsServer {
  if (!tls) return createServer(options, handle);
  const needsClient = tls.ca !== undefined;
  const handshakeTimeout = TIMEOUTS.headersMs;
  return createHttpsServer(
    { ...options, ...tls, handshakeTimeout, requestCert: needsClient, rejectUnauthorized: needsClient },
    handle,
  );
}

/** Who is turned away has sent what nobody reads. */
function refusePage(reply: HttpReply, problem: Problem): void {
  if (problem.code === 'UNAUTHENTICATED' || problem.code === 'FORBIDDEN') reply.refuseUnread(problem);
  else reply.refuse(problem);
}
