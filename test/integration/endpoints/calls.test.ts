import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import type { Bindings } from '../../../infra/endpoints/bindings';
import { parseEndpoint } from '../../../infra/endpoints/descriptor';
import { EndpointClient } from '../../../infra/endpoints/endpoint-client';
import { MAX_ANSWER_BYTES } from '../../../infra/endpoints/http-call';
import { TestAuthority } from '../../support/certificates';
import { bindTo, ModelServer, type Reaction, sendJson, tensorflowLike } from '../../support/model-server';
import { temporaryFolder } from '../../support/temporary-folder';
import { DISTANCE, signatureWith } from '../gateway/models';

const JSON_ENDPOINT = 'endpoint: e\nprotocol: json\npath: /score\ntimeout: 2s\nanswer: { column: 1 }\n';

let server: ModelServer;
beforeEach(async () => (server = await new ModelServer(tensorflowLike(1, 0)).start()));
afterEach(() => server.stop());

function clientOf(more = '', bindings: Bindings = bindTo({ e: server.origin }, { token: 's3cret' })): EndpointClient {
  return new EndpointClient(parseEndpoint(JSON_ENDPOINT + more, 'endpoint.yaml'), signatureWith([DISTANCE]), bindings);
}

const ask = (client: EndpointClient, options: Partial<Parameters<EndpointClient['score']>[2]> = {}) =>
  client.score([[1, 2]], 2, { purpose: 'serve', ...options });

/** A server that hangs up on the second request of a connection, before it says a word. */
function hangUpOnReuse(): Reaction {
  const seen = new WeakSet<object>();
  return (call, response) => {
    if (seen.has(response.socket!)) return void response.socket!.resetAndDestroy();
    seen.add(response.socket!);
    return tensorflowLike(1, 0)(call, response);
  };
}

describe('a call to a server', () => {
  it('keeps its connection, has the token and a key of its own, and asks for no compression', async () => {
    const client = clientOf();
    for (let time = 0; time < 3; time += 1) expect([...(await ask(client))]).toEqual([1, 2]);
    expect(server.connections).toBe(1);
    expect(new Set(server.calls.map(({ headers }) => headers['idempotency-key'])).size).toBe(3);
    expect(server.calls[0]!.headers).toMatchObject({
      authorization: 'Bearer s3cret',
      'accept-encoding': 'identity',
      'slipway-purpose': 'serve',
    });
    await ask(client, { purpose: 'check' });
    expect(server.connections).toBe(2);
    client.close();
  });

  it('is sent again on a kept connection that was reset, only where the server says that twice is as good as once', async () => {
    server.react = hangUpOnReuse();
    const careful = clientOf();
    await ask(careful);
    await expect(ask(careful)).rejects.toMatchObject({
      code: 'ENDPOINT_UNAVAILABLE',
      message: 'the endpoint e ended the connection (ECONNRESET)',
    });
    expect(server.calls).toHaveLength(2);
    const twice = clientOf('idempotent: true\n');
    await ask(twice);
    expect([...(await ask(twice))]).toEqual([1, 2]);
    const [, second, third] = server.calls.slice(2).map(({ headers }) => headers['idempotency-key']);
    expect([server.calls.length, second]).toEqual([5, third]);
    careful.close();
    twice.close();
  });

  it('is never sent again once the server was at work on a connection that it did not keep', async () => {
    server.react = (_, response) => void response.socket!.resetAndDestroy();
    await expect(ask(clientOf('idempotent: true\n'))).rejects.toMatchObject({ code: 'ENDPOINT_UNAVAILABLE' });
    expect(server.calls).toHaveLength(1);
  });

  it('says so where nobody listens', async () => {
    const client = clientOf();
    await server.stop();
    const message = 'the endpoint e cannot be reached (ECONNREFUSED)';
    await expect(ask(client)).rejects.toMatchObject({ code: 'ENDPOINT_UNAVAILABLE', message });
  });

  it.each<[string, Reaction, string, string]>([
    ['429', (_, response) => sendJson(response, {}, 429), 'ENDPOINT_UNAVAILABLE', 'the endpoint e answered 429'],
    ['500', (_, response) => sendJson(response, {}, 500), 'ENDPOINT_UNAVAILABLE', 'the endpoint e answered 500'],
    ['404', (_, response) => sendJson(response, {}, 404), 'ENDPOINT_ANSWER_INVALID', 'the endpoint e answered 404'],
    ['401', (_, response) => sendJson(response, {}, 401), 'ENDPOINT_ANSWER_INVALID', 'see bearerTokenFile'],
    [
      'a redirect',
      (_, response) => void response.writeHead(307, { location: `${server.origin}/elsewhere` }).end(),
      'ENDPOINT_ANSWER_INVALID',
      'the endpoint e answered 307; redirects are not followed',
    ],
    [
      'what is compressed all the same',
      (_, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end('x'),
      'ENDPOINT_ANSWER_INVALID',
      'compressed its answer',
    ],
    [
      'what never ends',
      (_, response) => void response.end(Buffer.alloc(MAX_ANSWER_BYTES + 1, 'x')),
      'ENDPOINT_ANSWER_INVALID',
      'larger than 8 MiB',
    ],
    [
      'half an answer',
      (_, response) => {
        response.writeHead(200, { 'content-length': '100' }).write('{"predictions"');
        setImmediate(() => response.socket!.destroy());
      },
      'ENDPOINT_UNAVAILABLE',
      'broke off its answer',
    ],
    [
      'a page',
      (_, response) => void response.end('<html>the secret</html>'),
      'ENDPOINT_ANSWER_INVALID',
      'expected JSON',
    ],
  ])('gets %s as an error that repeats nothing of it', async (_, react, code, message) => {
    server.react = react;
    const failed = ask(clientOf());
    await expect(failed).rejects.toMatchObject({ code, message: expect.stringContaining(message) as string });
    await expect(failed).rejects.not.toThrow('secret');
    expect(server.calls).toHaveLength(1);
  });

  it('hears when it may come back', async () => {
    server.react = (_, response) => void response.writeHead(503, { 'retry-after': '7' }).end();
    await expect(ask(clientOf())).rejects.toMatchObject({ retryAfterMs: 7_000 });
  });

  it('ends with its time, or with whoever waited for it', async () => {
    server.react = () => undefined;
    const startedMs = performance.now();
    const client = clientOf('');
    await expect(ask(client, { timeoutMs: 100 })).rejects.toMatchObject({
      code: 'ENDPOINT_TIMEOUT',
      message: 'the endpoint e did not answer within 100 ms',
    });
    const leaving = new AbortController();
    const left = ask(client, { signal: leaving.signal });
    leaving.abort();
    await expect(left).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(performance.now() - startedMs).toBeLessThan(1_900);
  });

  it.each(['serve', 'check'] as const)(
    'is not begun where nobody waits any more, and ends nothing else (%s)',
    async (purpose) => {
      const uncaught: unknown[] = [];
      const note = (error: unknown): void => void uncaught.push(error);
      process.on('uncaughtException', note);
      const client = clientOf();
      await expect(ask(client, { purpose, signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'CANCELLED' });
      expect([...(await ask(client))]).toEqual([1, 2]);
      process.off('uncaughtException', note);
      expect([uncaught, server.calls.length]).toEqual([[], 1]);
      client.close();
    },
  );

  it('is not begun by a client that was closed', async () => {
    const client = clientOf();
    client.close();
    await expect(ask(client)).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(server.connections).toBe(0);
  });

  it('goes to where the binding points now', async () => {
    let origin = server.origin;
    const client = clientOf('', bindTo({ e: () => origin }));
    await ask(client);
    const other = await new ModelServer(tensorflowLike(10, 0)).start();
    origin = other.origin;
    expect([...(await ask(client))]).toEqual([10, 20]);
    client.close();
    await other.stop();
  });
});

describe('a server with TLS', () => {
  it('is believed only by the authority that its binding names, and asked again where no connection came about', async () => {
    const folder = temporaryFolder('endpoint-tls');
    const authority = new TestAuthority(folder.path, 'authority');
    authority.issue('server', 'server');
    const read = (name: string): string => readFileSync(join(folder.path, name), 'utf8');
    const secure = createServer({ cert: read('server.pem'), key: read('server.key') }, (message, response) => {
      message.resume().on('end', () =>
        sendJson(response, {
          predictions: [
            [0, 1],
            [0, 2],
          ],
        }),
      );
    });
    await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve));
    const origin = `https://127.0.0.1:${(secure.address() as AddressInfo).port}`;
    const bindings = (ca: string | null): Bindings => ({
      find: () => ({ origin, ca, token: null, maxInFlight: 4 }),
      names: () => ['e'],
    });
    const client = clientOf('', bindings(read('authority.pem')));
    let connections = 0;
    secure.on('connection', (socket: Socket) => {
      // The first one ends before anything could be sent: the call is tried once more, whatever the server says of twice.
      if ((connections += 1) === 1) socket.destroy();
    });
    expect([...(await ask(client))]).toEqual([1, 2]);
    expect(connections).toBe(2);
    expect([...(await ask(client, { purpose: 'check' }))]).toEqual([1, 2]);
    await expect(ask(clientOf('', bindings(null)))).rejects.toMatchObject({ code: 'ENDPOINT_UNAVAILABLE' });
    client.close();
    secure.closeAllConnections();
    await new Promise((resolve) => secure.close(resolve));
    folder.remove();
  });
});
