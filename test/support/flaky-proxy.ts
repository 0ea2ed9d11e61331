import { type IncomingMessage, type RequestOptions, type ServerResponse, createServer, request } from 'node:http';

/**
 * What happens to one request: `pass`; `lose-reply` after the server did what was asked; `lose-request` before it got there;
 * `cut-reply` in the middle of its body; `hang` for ever; or an answer of 503 instead of the server's.
 */
export type Fate = 'pass' | 'lose-reply' | 'lose-request' | 'cut-reply' | 'hang' | 'answer-503';

export interface FlakyProxy {
  readonly endpoint: string;
  /** Decides the fate of each request, in the order of their arrival. Default: pass. */
  decide: (method: string, url: string) => Fate;
  /** `METHOD fate`, in the order of arrival. */
  readonly seen: string[];
  close(): Promise<void>;
}

/** An HTTP proxy in front of a server on 127.0.0.1 that fails as networks do. It keeps the Host header, which S3 signs. */
export async function startFlakyProxy(target: string): Promise<FlakyProxy> {
  const { hostname, port } = new URL(target);
  const server = createServer((incoming, reply) => {
    const fate = proxy.decide(incoming.method ?? '', incoming.url ?? '');
    proxy.seen.push(`${incoming.method} ${fate}`);
    void readAll(incoming).then((body) => act(fate, incoming, body, reply, { hostname, port }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const own = typeof address === 'object' && address ? address.port : 0;
  const proxy: FlakyProxy = {
    endpoint: `http://127.0.0.1:${own}`,
    decide: () => 'pass',
    seen: [],
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return proxy;
}

/** A `decide` that gives the fates one after the other to requests with the method, then lets everything pass. */
export function fatesOf(method: string, fates: readonly Fate[]): (method: string) => Fate {
  const left = [...fates];
  return (actual) => (actual === method ? (left.shift() ?? 'pass') : 'pass');
}

async function readAll(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function act(fate: Fate, incoming: IncomingMessage, body: Buffer, reply: ServerResponse, target: RequestOptions): void {
  if (fate === 'hang') return;
  if (fate === 'lose-request') {
    reply.destroy();
    return;
  }
  if (fate === 'answer-503') {
    reply.writeHead(503, { 'content-type': 'application/xml' });
    reply.end('<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>');
    return;
  }
  const forwarded = request(
    { ...target, method: incoming.method, path: incoming.url, headers: incoming.headers },
    (answer) => {
      void readAll(answer).then((answerBody) => pass(fate, answer, answerBody, reply));
    },
  );
  forwarded.on('error', () => reply.destroy());
  forwarded.end(body);
}

function pass(fate: Fate, answer: IncomingMessage, body: Buffer, reply: ServerResponse): void {
  if (fate === 'lose-reply') {
    reply.destroy();
    return;
  }
  reply.writeHead(answer.statusCode ?? 500, answer.headers);
  if (fate === 'cut-reply') {
    reply.write(body.subarray(0, Math.floor(body.length / 2)), () => reply.destroy());
    return;
  }
  reply.end(body);
}
