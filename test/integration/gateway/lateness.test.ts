import { connect } from 'node:net';
import { DEFAULT_LIMITS } from '../../../workers/gateway/inference/protocol';
import { GatewayServer } from '../../../workers/gateway/http/server';

/** Only the server: what comes too late never reaches a model. */
const server = new GatewayServer({
  host: '127.0.0.1',
  port: 0,
  timeouts: { headersMs: 300, requestMs: 600 },
  service: { options: { limits: DEFAULT_LIMITS, metrics: { countRequest: () => undefined } } } as never,
  served: () => undefined,
  allServed: () => [],
  notReady: () => null,
  isReady: () => true,
});
let port: number;
beforeAll(async () => ({ port } = await server.listen()));
afterAll(() => server.drain());

/** What comes back for a request that is begun and never ended. */
function begin(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk.toString()));
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}

describe('a caller that is slow', () => {
  it.each([
    ['with its headers', 'GET /v2 HTTP/1.1\r\nHost: x\r\nA: '],
    ['with its body', 'POST /v2/models/a/b/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{'],
  ])('%s is answered 408 and let go', async (_what, text) => {
    const answer = await begin(text);
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(answer).toContain('"code":"REQUEST_INVALID"');
  });

  it('does not keep others from being answered', async () => {
    const slow = begin('GET /v2 HTTP/1.1\r\nHost: x\r\n');
    const answer = await fetch(`http://127.0.0.1:${port}/v2/health/live`);
    expect(await answer.json()).toEqual({ live: true });
    await slow;
  });
});
