import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Bindings } from '../../infra/endpoints/bindings';
import { SlipwayError } from '../../workflows/domain/errors';

export interface ServerCall {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly purpose: string;
}

export type Reaction = (call: ServerCall, response: ServerResponse) => void | Promise<void>;

/** Somebody else's model server: it answers as the test says. */
export class ModelServer {
  readonly calls: ServerCall[] = [];
  private server: Server | null = null;
  private readonly sockets = new Set<Socket>();
  connections = 0;
  port = 0;

  constructor(public react: Reaction) {}

  /** Again on the same port after `stop`. */
  async start(): Promise<this> {
    this.server = createServer((message, response) => void this.take(message, response));
    this.server.on('connection', (socket) => {
      this.connections += 1;
      this.sockets.add(socket);
      socket.on('error', () => undefined).on('close', () => this.sockets.delete(socket));
    });
    await new Promise<void>((resolve) => this.server!.listen(this.port, '127.0.0.1', resolve));
    this.port = (this.server.address() as AddressInfo).port;
    return this;
  }

  /** At once, as a kill does it: connections are reset. */
  async stop(): Promise<void> {
    const { server } = this;
    this.server = null;
    for (const socket of this.sockets) socket.resetAndDestroy();
    if (server) await new Promise((resolve) => server.close(resolve));
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  countOf(purpose: string): number {
    return this.calls.filter((call) => call.purpose === purpose).length;
  }

  private async take(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of message as AsyncIterable<Buffer>) chunks.push(chunk);
    const { method = '', url = '', headers } = message;
    const purpose = String(headers['slipway-purpose'] ?? '');
    const call = { method, path: url, headers, body: Buffer.concat(chunks), purpose };
    this.calls.push(call);
    await this.react(call, response);
  }
}

/** Binds each name to an origin, as an endpoints file would. */
export function bindTo(
  origins: Readonly<Record<string, string | (() => string)>>,
  changes: { readonly maxInFlight?: number; readonly token?: string } = {},
): Bindings {
  const { maxInFlight = 16, token = null } = changes;
  return {
    find: (name) => {
      const origin = origins[name];
      if (origin === undefined) throw new SlipwayError('ENDPOINT_NOT_BOUND', `${name} is not bound`);
      return { origin: typeof origin === 'string' ? origin : origin(), maxInFlight, token, ca: null };
    },
    names: () => Object.keys(origins),
  };
}

export function sendJson(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** `{"instances": [{"distance": 3}]}` to `{"predictions": [[1 - p, p]]}` with p = distance * weight + bias. */
export function tensorflowLike(weight: number, bias: number): Reaction {
  return ({ body }, response) => {
    const { instances } = JSON.parse(body.toString()) as { instances: { distance: number }[] };
    const scores = instances.map(({ distance }) => Math.fround(distance * weight + bias));
    sendJson(response, { predictions: scores.map((score) => [1 - score, score]) });
  };
}
