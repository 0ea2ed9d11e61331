import Ajv2020 from 'ajv/dist/2020';
import { gzipSync } from 'node:zlib';
import { OPEN_API } from '../../../workers/gateway/http/openapi';
import type { Gateway } from '../../../workers/gateway/gateway';
import { DEFAULT_LIMITS } from '../../../workers/gateway/inference/protocol';
import { GatewayServer } from '../../../workers/gateway/http/server';
import { GatewayFixture, inferBody, MODEL, ready, until } from './fixture';
import { DISTANCE, failingModel, linearModel, signatureWith, slowModel } from './models';

const fixture = new GatewayFixture();
let gateway: Gateway;
let unready: GatewayServer;
let unreadyUrl: string;

beforeAll(async () => {
  const failing = await fixture.release(failingModel(100, 0), undefined, 'flights/failing');
  const broken = { onnx: Buffer.from('no model'), signature: signatureWith([DISTANCE]) };
  await fixture.route(await fixture.release(linearModel(2, 1)));
  await fixture.route(failing);
  await fixture.route(await fixture.release(slowModel(256, 60), undefined, 'flights/slow'));
  await fixture.route(await fixture.release(broken, undefined, 'flights/broken'));
  gateway = await fixture.start({ limits: { ...DEFAULT_LIMITS, bodyBytes: 8_192 } });
  for (const model of [MODEL, 'flights/failing', 'flights/slow']) await ready(gateway, model);
  await until(
    async () => (await fetch(`${gateway.url}/v2/models/flights/broken`)).status === 503,
    'the broken model is known',
    60_000,
  );
  unready = new GatewayServer({
    host: '127.0.0.1',
    port: 0,
    service: { options: { limits: DEFAULT_LIMITS } } as never,
    served: () => undefined,
    allServed: () => [],
    notReady: () => null,
    isReady: () => false,
  });
  unreadyUrl = (await unready.listen()).url;
}, 120_000);
afterAll(async () => {
  await unready.drain();
  await fixture.dispose();
});

const ajv = new Ajv2020({ strict: false, allErrors: true });
ajv.addSchema(OPEN_API, 'api');

type Media = Readonly<Record<string, { readonly schema?: unknown }>>;
interface Documented {
  readonly requestBody?: { readonly content: Media };
  readonly responses: Readonly<Record<string, { readonly content: Media }>>;
}

interface Sample {
  readonly path: string;
  readonly method: string;
  readonly status: number;
  readonly url: string;
  readonly init?: RequestInit;
  readonly isReady?: boolean;
}

const asJson = { 'Content-Type': 'application/json' };
const post = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = asJson): RequestInit => ({
  method: 'POST',
  body,
  headers,
});
const rows = (...distances: unknown[]): string =>
  JSON.stringify({ instances: distances.map((distance) => ({ distance })) });

/** Each documented way in which a request for inference ends. `write` gives the body of distances, `action` the end of the path. */
function inferences(path: string, version: string, write: (...distances: number[]) => string): Sample[] {
  const of = (model: string, status: number, init: RequestInit): Sample => {
    const [project, name] = model.split('/') as [string, string];
    const url = path.replace('{project}', project).replace('{model}', name).replace('{version}', version);
    return { path, method: 'post', status, url, init };
  };
  const timed = JSON.stringify({ ...(JSON.parse(write(1)) as object), parameters: { timeout: 1 } });
  return [
    of(MODEL, 200, post(write(1, 2))),
    of(MODEL, 200, post(new Uint8Array(gzipSync(write(1))), { ...asJson, 'Content-Encoding': 'gzip' })),
    of(MODEL, 400, post('{')),
    of('flights/other', 404, post(write(1))),
    of(MODEL, 413, post(write(...Array<number>(9_000).fill(1)))),
    of(MODEL, 415, post(write(1), { 'Content-Type': 'image/png' })),
    of(MODEL, 422, post(write(-1))),
    of('flights/failing', 500, post(write(150))),
    of('flights/broken', 503, post(write(1))),
    of('flights/slow', 504, post(timed)),
  ];
}

function reads(path: string, version: string): Sample[] {
  const of = (model: string, status: number): Sample => {
    const [project, name] = model.split('/') as [string, string];
    const url = path.replace('{project}', project).replace('{model}', name).replace('{version}', version);
    return { path, method: 'get', status, url };
  };
  return [of(MODEL, 200), of('flights/other', 404), of('flights/broken', 503)];
}

const read = (path: string): Sample => ({ path, method: 'get', status: 200, url: path });
const V2 = '/v2/models/{project}/{model}';
const V1 = '/v1/models/{project}/{model}';
const INDEX = '/v2/repository/index';
const SAMPLES: readonly Sample[] = [
  ...['/v2', '/v2/health/live', '/v2/health/ready', INDEX, '/v1/models', '/openapi.json', '/metrics'].map(read),
  { ...read('/v2/health/ready'), status: 503, isReady: false },
  { ...read(INDEX), method: 'post', init: post('{"ready":true}') },
  { ...read(INDEX), method: 'post', status: 400, init: post('{"ready":1}') },
  { ...read(INDEX), method: 'post', status: 413, init: post(' '.repeat(5_000)) },
  ...[V2, `${V2}/ready`, `${V2}/versions/{version}`, `${V2}/versions/{version}/ready`, V1].flatMap((path) =>
    reads(path, '1'),
  ),
  ...inferences(`${V2}/infer`, '', (...distances) => inferBody(distances)),
  ...inferences(`${V2}/versions/{version}/infer`, '1', (...distances) => inferBody(distances)),
  ...inferences(`${V1}:predict`, '', rows),
];

describe('the OpenAPI document', () => {
  it('is served as it is in the code', async () => {
    expect(await (await fetch(`${gateway.url}/openapi.json`)).json()).toEqual(JSON.parse(JSON.stringify(OPEN_API)));
  });

  it('is true of the index: what is followed and cannot be served is there with its reason, unless only what is ready is asked for', async () => {
    const index = async (ready: boolean): Promise<{ name: string; state: string; reason: string }[]> =>
      (await (await fetch(`${gateway.url}${INDEX}`, post(JSON.stringify({ ready })))).json()) as never;
    const broken = (await index(false)).find(({ name }) => name === 'flights/broken');
    expect([broken?.state, broken?.reason.split(':')[0]]).toEqual(['UNAVAILABLE', 'MODEL_UNREADABLE']);
    expect((await index(true)).map(({ name }) => name).sort()).toEqual(['flights/failing', MODEL, 'flights/slow']);
  });

  it('says of each path, method and status something that a request here shows, and nothing more', () => {
    const documented = Object.entries(OPEN_API.paths).flatMap(([path, item]) =>
      ['get', 'post'].flatMap((method) => {
        const operation = item[method] as Documented | undefined;
        return Object.keys(operation?.responses ?? {}).map((status) => `${method} ${path} ${status}`);
      }),
    );
    const shown = new Set(SAMPLES.map(({ method, path, status }) => `${method} ${path} ${status}`));
    expect([...shown].sort()).toEqual(documented.sort());
  });

  it.each(SAMPLES.map((sample) => [sample.method, sample.path, sample.status, sample] as const))(
    'describes %s %s: %d',
    async (method, path, status, { url, init, isReady = true }) => {
      const answer = await fetch(`${isReady ? gateway.url : unreadyUrl}${url}`, init);
      const type = answer.headers.get('content-type')!.split(';')[0]!;
      const body = await answer.text();
      expect([answer.status, body.slice(0, 200)]).toEqual([status, body.slice(0, 200)]);
      const operation = (OPEN_API.paths[path] as Record<string, unknown>)[method] as Documented;
      const pointer = (...parts: string[]): string =>
        `api#/paths/${[path, method, ...parts].map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`;
      const { content } = operation.responses[String(status)]!;
      expect(Object.keys(content)).toContain(type);
      if (type !== 'application/json') return;
      const validate = ajv.compile({ $ref: pointer('responses', String(status), 'content', type, 'schema') });
      expect([validate(JSON.parse(body)), validate.errors]).toEqual([true, null]);
      if (status !== 200 || typeof init?.body !== 'string') return;
      const check = ajv.compile({ $ref: pointer('requestBody', 'content', type, 'schema') });
      expect([check(JSON.parse(init.body)), check.errors]).toEqual([true, null]);
    },
  );
});
