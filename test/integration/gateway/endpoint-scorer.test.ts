import { SlipwayError } from '../../../workflows/domain/errors';
import { EndpointClient } from '../../../infra/endpoints/endpoint-client';
import { parseEndpoint } from '../../../infra/endpoints/descriptor';
import { EndpointHealth } from '../../../workers/gateway/endpoints/endpoint-health';
import { EndpointScorer } from '../../../workers/gateway/endpoints/endpoint-scorer';
import type { BatchItem } from '../../../workers/gateway/execution/batching';
import { bindTo, ModelServer, type Reaction, sendJson, tensorflowLike } from '../../support/model-server';
import { DISTANCE, signatureWith } from './models';

const ENDPOINT = 'endpoint: e\nprotocol: json\npath: /score\nmaxRows: 1\nanswer: { column: 1 }\n';

let server: ModelServer;
let scorer: EndpointScorer | null = null;
beforeEach(async () => (server = await new ModelServer(tensorflowLike(1, 0)).start()));
afterEach(async () => {
  scorer?.close();
  await server.stop();
});

function open(more: string, hasSamples = true) {
  const descriptor = parseEndpoint(ENDPOINT + more, 'endpoint.yaml');
  const client = new EndpointClient(descriptor, signatureWith([DISTANCE]), bindTo({ e: server.origin }));
  const nowMs = (): number => performance.now();
  const health = new EndpointHealth(descriptor, hasSamples, nowMs);
  const nothing = (): void => undefined;
  const callbacks = { onSettled: nothing, onCall: nothing, onClosed: nothing };
  const opened = (scorer = new EndpointScorer({ client, health, maxWaitMs: 50, nowMs, ...callbacks }));
  /** What became of a request of so many rows whose caller allows so much time. */
  const ask = (rows: number, withinMs: number): Promise<string> =>
    new Promise((resolve) => {
      opened.submit({
        ...{ columns: [Array<number>(rows).fill(1)], rows, deadlineMs: nowMs() + withinMs, isGone: false },
        settle: (error) => resolve(error === null ? 'ok' : typeof error === 'string' ? error : error.code),
        drop: (reason) => resolve(reason),
      } satisfies BatchItem);
    });
  return { health, ask };
}

const after =
  (ms: number, react: Reaction): Reaction =>
  async (call, response) => {
    await new Promise((resolve) => setTimeout(resolve, ms));
    await react(call, response);
  };

describe('what is believed of a server', () => {
  it('is not worse for callers who leave no time for all calls of a large request', async () => {
    server.react = after(40, tensorflowLike(1, 0));
    const { ask, health } = open('timeout: 400ms\n');
    for (let time = 0; time < 6; time += 1) expect(await ask(50, 450)).toBe('deadline');
    expect(health.isTroubled).toBe(false);
    expect(await ask(1, 5_000)).toBe('ok');
  });

  it('is that it is down after five calls that had all the time of the release', async () => {
    server.react = () => undefined;
    const { ask, health } = open('timeout: 100ms\n');
    expect(await Promise.all(Array.from({ length: 5 }, () => ask(3, 5_000)))).toContain('ENDPOINT_TIMEOUT');
    expect(health.state).toBe('unreachable');
  });

  it('is that it is there where it answered the first call of a request', async () => {
    const { ask, health } = open('timeout: 300ms\n');
    let answered = 0;
    server.react = (call, response) => {
      if ((answered += 1) % 2 === 1) return tensorflowLike(1, 0)(call, response);
    };
    for (let time = 0; time < 5; time += 1) expect(await ask(2, 5_000)).toBe('ENDPOINT_TIMEOUT');
    expect(health.state).toBe('never-checked');
  });

  it('is that it is another one where it comes back from an outage with other answers', () => {
    const { health } = open('timeout: 1s\n');
    const silent = (): void => health.noteCall(new SlipwayError('ENDPOINT_UNAVAILABLE', 'no connection'));
    health.noteDifference(0);
    health.noteDifference(0.1);
    expect(health.state).toBe('good');
    health.noteDifference(0);
    for (let time = 0; time < 5; time += 1) silent();
    expect(health.state).toBe('unreachable');
    health.noteDifference(0.1);
    expect([health.state, health.problem?.code]).toEqual(['different', 'ENDPOINT_CHANGED']);
    health.noteDifference(0);
    expect(health.state).toBe('good');
  });

  it('is that it is back where it says anything at all, also that the request was wrong', async () => {
    const { ask, health } = open('timeout: 1s\n', false);
    server.react = (_, response) => sendJson(response, {}, 503);
    for (let time = 0; time < 5; time += 1) expect(await ask(1, 5_000)).toBe('ENDPOINT_UNAVAILABLE');
    expect(health.state).toBe('unreachable');
    server.react = (_, response) => sendJson(response, {}, 400);
    expect(await ask(1, 5_000)).toBe('ENDPOINT_ANSWER_INVALID');
    expect(health.isTroubled).toBe(false);
    server.react = tensorflowLike(1, 0);
    expect(await ask(1, 5_000)).toBe('ok');
  });
});
