import { status } from '@grpc/grpc-js';
import { createHash } from 'node:crypto';
import { utimesSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Edge } from '../../../workers/gateway/edge/edge';
import { followEdge } from '../../../workers/gateway/edge/edge';
import type { Gateway } from '../../../workers/gateway/gateway';
import { silentLogger } from '../../../infra/telemetry/log';
import { InferenceClient } from '../../support/inference-client';
import { temporaryFolder } from '../../support/temporary-folder';
import { GatewayFixture, inferBody, MODEL, post, ready } from './fixture';
import { linearModel } from './models';

const SECRET_MODEL = 'bank/risk';
const folder = temporaryFolder('admission');
const path = join(folder.path, 'gateway.yaml');
const fixture = new GatewayFixture();
let gateway: Gateway;
let edge: Edge;
let client: InferenceClient;
let writes = 0;

const caller = (name: string, models: string, more = ''): string =>
  `  - { name: ${name}, apiKey: 'sha256:${createHash('sha256').update(`key-of-${name}`).digest('hex')}', models: ${models}${more} }\n`;
const FILE = `callers:\n${caller('shop', '[flights/late-arrival]')}${caller('all', "['*']")}${caller('slow', "['*']", ', rate: { perSecond: 0.01, burst: 2 }')}`;

/** A stamp of its own for each writing, however coarse the file system's clock is. */
function write(text: string): void {
  writeFileSync(path, text);
  writes += 1;
  utimesSync(path, new Date(), new Date(Date.now() - writes * 60_000));
}

beforeAll(async () => {
  write(FILE);
  edge = followEdge(path, { logger: silentLogger, everyMs: 0 });
  await fixture.route(await fixture.release(linearModel(2, 1)));
  await fixture.route(await fixture.release(linearModel(3, 1), undefined, SECRET_MODEL));
  gateway = await fixture.start({ grpcPort: 0, edge });
  await ready(gateway, MODEL, { 'x-api-key': 'key-of-all' });
  await ready(gateway, SECRET_MODEL, { 'x-api-key': 'key-of-all' });
  client = new InferenceClient(gateway.grpcPort!);
});
afterEach(() => write(FILE));
afterAll(async () => {
  client?.close();
  await fixture.dispose();
  folder.remove();
});

const as = (name: string): Record<string, string> => ({ 'x-api-key': `key-of-${name}` });
const get = async (page: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(gateway.url + page, { headers });

describe('over HTTP, a gateway whose file names callers', () => {
  it('answers who may ask, and tells the others apart: unknown, or not of this model', async () => {
    expect((await post(gateway.url, inferBody([1]), as('shop'))).body.outputs[0]!.data).toEqual([3]);
    const unknown = await fetch(`${gateway.url}/v2/models/${MODEL}/infer`, { method: 'POST', body: inferBody([1]) });
    expect([unknown.status, unknown.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="slipway"']);
    expect(await unknown.json()).toMatchObject({ code: 'UNAUTHENTICATED' });
    const refused = await post(gateway.url, inferBody([1]), as('shop'), SECRET_MODEL);
    expect([refused.status, refused.body.code]).toEqual([403, 'FORBIDDEN']);
  });

  it('refuses a model that exists and one that does not in the same words', async () => {
    const [real, invented] = await Promise.all(
      [SECRET_MODEL, 'bank/none'].map(async (model) => (await post(gateway.url, '{}', as('shop'), model)).body.error),
    );
    expect(invented).toBe(real!.replace(SECRET_MODEL, 'bank/none'));
  });

  it('says in Retry-After when a quota has room again', async () => {
    const answers = [];
    for (let sent = 0; sent < 3; sent += 1)
      answers.push(
        await fetch(`${gateway.url}/v2/models/${MODEL}/infer`, {
          method: 'POST',
          body: inferBody([1]),
          headers: as('slow'),
        }),
      );
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 429]);
    expect(Number(answers[2]!.headers.get('retry-after'))).toBeGreaterThan(90);
  });

  it.each(['/v2', '/v2/health/live', '/v2/health/ready', '/openapi.json'])('leaves %s open', async (page) => {
    expect((await get(page)).status).toBe(200);
  });

  it('says that it asks who calls', async () => {
    expect(await (await get('/v2')).json()).toMatchObject({ parameters: { authentication: 'required' } });
  });

  it.each(['/metrics', '/v2/repository/index', '/v1/models', `/v2/models/${MODEL}`])('asks at %s', async (page) => {
    expect([(await get(page)).status, (await get(page, as('all'))).status]).toEqual([401, 200]);
  });

  it('lists only what the caller may ask', async () => {
    const names = async (name: string): Promise<string[]> =>
      ((await (await get('/v2/repository/index', as(name))).json()) as { name: string }[])
        .map((row) => row.name)
        .sort();
    expect(await names('shop')).toEqual([MODEL]);
    expect(await names('all')).toEqual([SECRET_MODEL, MODEL].sort());
  });

  it('counts who was turned away by code, whatever they call themselves', async () => {
    const series = async (): Promise<string[]> =>
      (await (await get('/metrics', as('all'))).text())
        .split('\n')
        .filter((line) => /^slipway_gateway_turned/.test(line));
    const before = await series();
    for (let sent = 0; sent < 5; sent += 1) await post(gateway.url, inferBody([1]), { 'x-api-key': `guess-${sent}` });
    const after = await series();
    const unauthenticated = (lines: string[]): number =>
      Number(lines.find((line) => line.includes('UNAUTHENTICATED'))!.split(' ')[1]);
    expect(unauthenticated(after) - unauthenticated(before)).toBe(5);
    expect(after.map((line) => line.replace(/ .*/, '').replace(/,?process="[^"]*"/, ''))).toEqual([
      'slipway_gateway_turned_away_total{code="UNAUTHENTICATED"}',
      'slipway_gateway_turned_away_total{code="FORBIDDEN"}',
      'slipway_gateway_turned_away_total{code="RATE_LIMITED"}',
    ]);
  });

  it('keeps the connection of a short request, whose next one may be right', async () => {
    const socket = connect(gateway.port, '127.0.0.1');
    const head = `POST /v2/models/${MODEL}/infer HTTP/1.1\r\nHost: x\r\nContent-Length: ${inferBody([1]).length}\r\n`;
    socket.write(
      `${head}\r\n${inferBody([1])}${head}X-Api-Key: key-of-all\r\nConnection: close\r\n\r\n${inferBody([1])}`,
    );
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    expect([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1])).toEqual(['401', '200']);
  });

  it('answers a long body before it came, and then ends the connection', async () => {
    const outcome = await new Promise<{ status: number; connection: unknown; code: unknown }>((resolve, reject) => {
      const sent = httpRequest(
        `${gateway.url}/v2/models/${MODEL}/infer`,
        { method: 'POST', headers: { 'Content-Length': 8_000_000 } },
        (answer) => {
          let body = '';
          answer.on('data', (chunk) => (body += String(chunk)));
          answer.on('end', () =>
            resolve({
              status: answer.statusCode!,
              connection: answer.headers.connection,
              code: (JSON.parse(body) as { code: unknown }).code,
            }),
          );
        },
      );
      sent.on('error', reject);
      sent.write(Buffer.alloc(200_000));
    });
    expect(outcome).toEqual({ status: 401, connection: 'close', code: 'UNAUTHENTICATED' });
  });
});

describe('the cost of predictions', () => {
  it('is the price of a second by the measured time of 1,000 rows', async () => {
    write(`${FILE}price: { perSecond: 2, currency: EUR }\n`);
    await post(gateway.url, inferBody([1, 2, 3]), as('all'));
    const lines = (await (await get('/metrics', as('all'))).text()).split('\n');
    const value = (name: string): number =>
      Number(lines.find((line) => line.startsWith(name) && line.includes(`model="${MODEL}"`))!.split(' ')[1]);
    const seconds = value('slipway_gateway_inference_seconds_total');
    const cost = value('slipway_gateway_cost_per_1000_predictions');
    expect(seconds).toBeGreaterThan(0);
    // Seconds × price / cost is the number of rows in thousands.
    const rows = ((seconds * 2) / cost) * 1_000;
    expect(rows).toBeGreaterThanOrEqual(3);
    expect(rows).toBeCloseTo(Math.round(rows), 3);
    expect(lines.some((line) => line.startsWith('slipway_gateway_cost') && line.includes('currency="EUR"'))).toBe(true);
  });
});

describe('when its file changes', () => {
  it('takes the new callers, and keeps the last good ones when it cannot be read', async () => {
    write(`callers:\n${caller('new', "['*']")}`);
    expect((await post(gateway.url, inferBody([1]), as('new'))).status).toBe(200);
    expect((await post(gateway.url, inferBody([1]), as('all'))).status).toBe(401);
    write('callers: [broken');
    expect((await post(gateway.url, inferBody([1]), as('new'))).status).toBe(200);
    expect(edge.failedLooks).toBeGreaterThan(0);
  });

  it('is open where no callers are left in it, and says so', async () => {
    write('callers: []\n');
    expect((await post(gateway.url, inferBody([1]))).status).toBe(200);
    expect(await (await get('/v2')).json()).toMatchObject({ parameters: { authentication: 'none' } });
  });
});

describe('over gRPC, a gateway whose file names callers', () => {
  const codeOf = async (method: string, request: object, name?: string): Promise<string> => {
    try {
      await client.call(method, request, name === undefined ? {} : { metadata: as(name) });
      return 'OK';
    } catch (error) {
      return status[(error as { code: number }).code]!;
    }
  };
  const infer = (model: string): object => ({
    model_name: model,
    inputs: [{ name: 'distance', datatype: 'FP32', shape: [1, 1], contents: { fp32_contents: [1] } }],
  });

  it('answers, and turns away, as over HTTP', async () => {
    expect(await codeOf('ModelInfer', infer(MODEL), 'shop')).toBe('OK');
    expect(await codeOf('ModelInfer', infer(MODEL))).toBe('UNAUTHENTICATED');
    expect(await codeOf('ModelInfer', infer(SECRET_MODEL), 'shop')).toBe('PERMISSION_DENIED');
    expect(await codeOf('ModelMetadata', { name: SECRET_MODEL }, 'shop')).toBe('PERMISSION_DENIED');
    expect(await codeOf('ModelReady', { name: MODEL })).toBe('UNAUTHENTICATED');
    write(FILE.replaceAll('burst: 2', 'burst: 1').replaceAll('slow', 'slower'));
    const codes = [await codeOf('ModelInfer', infer(MODEL), 'slow'), await codeOf('ModelInfer', infer(MODEL), 'slow')];
    expect(codes).toEqual(['OK', 'RESOURCE_EXHAUSTED']);
  });

  it('leaves health open, and lists only what the caller may ask', async () => {
    expect(await codeOf('ServerLive', {})).toBe('OK');
    expect(await codeOf('ServerReady', {})).toBe('OK');
    expect(await codeOf('Check', { service: '' })).toBe('OK');
    expect(await codeOf('Check', { service: MODEL })).toBe('PERMISSION_DENIED');
    const { models } = (await client.call('RepositoryIndex', {}, { metadata: as('shop') })) as {
      models: { name: string }[];
    };
    expect(models.map(({ name }) => name)).toEqual([MODEL]);
  });
});

describe('a gateway without a file', () => {
  it('lets everybody in, and says so', async () => {
    const own = new GatewayFixture();
    try {
      await own.route(await own.release(linearModel(2, 1)));
      const open = await own.start();
      await ready(open);
      expect((await post(open.url, inferBody([1]))).status).toBe(200);
      expect(await (await fetch(`${open.url}/v2`)).json()).toMatchObject({ parameters: { authentication: 'none' } });
    } finally {
      await own.dispose();
    }
  });
});
