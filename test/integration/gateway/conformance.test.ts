import { connect } from 'node:net';
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { encodeTensor } from '../../../workers/gateway/http/binary-tensors';
import type { TensorData } from '../../../workers/gateway/http/tensor-data';
import type { Gateway } from '../../../workers/gateway/gateway';
import { GatewayFixture, inferBody, MODEL, ready } from './fixture';
import { DISTANCE, inputSignature, linearModel } from './models';

const TYPED = 'flights/typed';
const TRIED = 'flights/tried';
const INPUTS = [
  DISTANCE,
  inputSignature('hour', { type: 'integer' }),
  inputSignature('weekend', { type: 'boolean' }),
  inputSignature('origin', { type: 'category', nullable: true }),
];
const fixture = new GatewayFixture();
let gateway: Gateway;

beforeAll(async () => {
  await fixture.route(await fixture.release(linearModel(2, 1)));
  await fixture.route(await fixture.release(linearModel(2, 1, INPUTS), undefined, TYPED));
  const champion = await fixture.release(linearModel(2, 1), undefined, TRIED);
  const release = await fixture.release(linearModel(3, 1), undefined, TRIED);
  await fixture.route(champion, { release, weight: 1 });
  gateway = await fixture.start();
  for (const model of [MODEL, TYPED, TRIED]) await ready(gateway, model);
}, 60_000);
afterAll(() => fixture.dispose());

interface Given {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  readonly json: Record<string, unknown>;
}

async function ask(path: string, init: RequestInit = {}): Promise<Given> {
  const response = await fetch(`${gateway.url}${path}`, init);
  const bytes = Buffer.from(await response.arrayBuffer());
  const isJson = response.headers.get('content-type') === 'application/json' && bytes.length > 0;
  const json = isJson ? (JSON.parse(bytes.toString()) as Record<string, unknown>) : {};
  return { status: response.status, headers: response.headers, bytes, json };
}

const post = (
  model: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
  action = '/infer',
): Promise<Given> => ask(`/v2/models/${model}${action}`, { method: 'POST', body, headers });

interface Tensor {
  readonly name: string;
  readonly datatype: string;
  readonly values: TensorData;
}

/** A request with all its tensors behind the JSON. */
function postBinary(model: string, tensors: readonly Tensor[], members: object = {}): Promise<Given> {
  const parts = tensors.map(({ datatype, values }) => encodeTensor(datatype, values));
  const inputs = tensors.map(({ name, datatype, values }, at) => ({
    name,
    datatype,
    shape: [values.length, 1],
    parameters: { binary_data_size: parts[at]!.length },
  }));
  const head = Buffer.from(JSON.stringify({ inputs, ...members }));
  return post(model, new Uint8Array(Buffer.concat([head, ...parts])), {
    'Inference-Header-Content-Length': String(head.length),
  });
}

const scoresOf = ({ json }: Given): unknown => (json.outputs as { data: unknown }[] | undefined)?.[0]?.data;
const codeOf = ({ status, json }: Given): unknown[] => [status, json.code];

const distance = (datatype: string, values: TensorData): Tensor => ({ name: 'distance', datatype, values });
const ROW: readonly Tensor[] = [
  distance('FP32', [2]),
  { name: 'hour', datatype: 'INT64', values: [7n] },
  { name: 'weekend', datatype: 'BOOL', values: [1] },
  { name: 'origin', datatype: 'BYTES', values: ['SEA'] },
];
const replaced = (tensor: Tensor): Tensor[] => ROW.map((known) => (known.name === tensor.name ? tensor : known));

const NUMBERS = [
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'FP16',
  'BF16',
  'FP32',
  'FP64',
];

describe('datatypes', () => {
  it.each(NUMBERS)('takes %s for a number, as JSON and as bytes', async (datatype) => {
    expect(scoresOf(await postBinary(MODEL, [distance(datatype, [2, 3])]))).toEqual([5, 7]);
    const inputs = [{ name: 'distance', datatype, shape: [2], data: [2, 3] }];
    expect(scoresOf(await post(MODEL, JSON.stringify({ inputs })))).toEqual([5, 7]);
  });

  it.each(NUMBERS.filter((datatype) => !datatype.endsWith('16') || datatype.includes('INT')))(
    'takes %s for an integer',
    async (datatype) => {
      const answer = await postBinary(TYPED, replaced({ name: 'hour', datatype, values: [7] }));
      expect([answer.status, scoresOf(answer)]).toEqual([200, [5]]);
    },
  );

  it.each(['BOOL', 'UINT8', 'INT8', 'INT32', 'INT64', 'FP32'])(
    'takes 0 and 1 of %s for a boolean',
    async (datatype) => {
      expect((await postBinary(TYPED, replaced({ name: 'weekend', datatype, values: [0] }))).status).toBe(200);
      const refused = datatype === 'BOOL' || datatype === 'INT32';
      if (refused)
        expect(codeOf(await postBinary(TYPED, replaced({ name: 'weekend', datatype, values: [2] })))).toEqual([
          422,
          'INPUT_INVALID',
        ]);
    },
  );

  it.each([
    ['text for a number', distance('BYTES', ['2'])],
    ['halves for an integer', { name: 'hour', datatype: 'FP16', values: [7] }],
    ['a number for text', { name: 'origin', datatype: 'FP32', values: [1] }],
  ])('refuses %s', async (_what, tensor) => {
    expect(codeOf(await postBinary(TYPED, replaced(tensor)))).toEqual([400, 'REQUEST_INVALID']);
  });

  it('takes JSON and binary tensors in one request', async () => {
    const bytes = encodeTensor('FP32', [2]);
    const inputs = [
      { name: 'hour', datatype: 'INT64', shape: [1], data: [7] },
      { name: 'distance', datatype: 'FP32', shape: [1, 1], parameters: { binary_data_size: 4 } },
      { name: 'weekend', datatype: 'BOOL', shape: [1], data: [true] },
    ];
    const head = Buffer.from(JSON.stringify({ inputs }));
    const headers = { 'Inference-Header-Content-Length': String(head.length) };
    expect(scoresOf(await post(TYPED, new Uint8Array(Buffer.concat([head, bytes])), headers))).toEqual([5]);
  });

  it('takes the matrix form', async () => {
    const bytes = encodeTensor('FP32', [2, 3]);
    const inputs = [{ name: 'X', datatype: 'FP32', shape: [2, 1], parameters: { binary_data_size: bytes.length } }];
    const head = Buffer.from(JSON.stringify({ inputs }));
    const headers = { 'Inference-Header-Content-Length': String(head.length) };
    expect(scoresOf(await post(MODEL, new Uint8Array(Buffer.concat([head, bytes])), headers))).toEqual([5, 7]);
  });
});

describe('binary answers', () => {
  it.each([
    ['all outputs', { parameters: { binary_data_output: true } }],
    ['one output', { outputs: [{ name: 'score', parameters: { binary_data: true } }] }],
  ])('are given where the caller asks for %s', async (_what, members) => {
    const answer = await postBinary(MODEL, [distance('FP32', [2, 3])], { id: 'é', ...members });
    const length = Number(answer.headers.get('inference-header-content-length'));
    const head = JSON.parse(answer.bytes.subarray(0, length).toString()) as Record<string, unknown>;
    expect(answer.headers.get('content-type')).toBe('application/octet-stream');
    expect(head).toMatchObject({
      model_name: MODEL,
      model_version: '1',
      id: 'é',
      outputs: [{ name: 'score', datatype: 'FP32', shape: [2, 1], parameters: { binary_data_size: 8 } }],
    });
    expect(new Float32Array(new Uint8Array(answer.bytes.subarray(length)).buffer)).toEqual(Float32Array.of(5, 7));
  });

  it('are JSON where one output says so, and for errors', async () => {
    const outputs = [{ name: 'score', parameters: { binary_data: false } }];
    const members = { parameters: { binary_data_output: true }, outputs };
    expect(scoresOf(await postBinary(MODEL, [distance('FP32', [2])], members))).toEqual([5]);
    expect(
      codeOf(await postBinary(MODEL, [distance('FP32', [-2])], { parameters: { binary_data_output: true } })),
    ).toEqual([422, 'INPUT_INVALID']);
  });
});

describe('broken binary requests', () => {
  const tensor = (size: unknown, more: object = {}): string =>
    JSON.stringify({
      inputs: [{ name: 'distance', datatype: 'FP32', shape: [1], parameters: { binary_data_size: size }, ...more }],
    });
  it.each([
    ['a header length beyond the body', tensor(4), 4, '9999'],
    ['a header length that is no number', tensor(4), 4, '1e1'],
    ['a negative header length', tensor(4), 4, '-1'],
    ['a tensor beyond the body', tensor(8), 4, null],
    ['bytes behind the last tensor', tensor(4), 5, null],
    ['a size that the shape does not have', tensor(8), 8, null],
    ['a size that is no number', tensor('4'), 4, null],
    ['bytes and data', tensor(4, { data: [1] }), 4, null],
    ['neither bytes nor data', tensor(undefined), 0, null],
    ['a shape of text', tensor(4, { shape: ['1'] }), 4, null],
    ['a shape without end', tensor(4, { shape: [2 ** 52, 2 ** 52] }), 4, null],
    ['a datatype that is none', tensor(4, { datatype: 'FP31' }), 4, null],
  ])('are refused: %s', async (_what, head, bytes, length) => {
    const body = new Uint8Array(Buffer.concat([Buffer.from(head), Buffer.alloc(bytes)]));
    const answer = await post(MODEL, body, {
      'Inference-Header-Content-Length': length ?? String(Buffer.byteLength(head)),
    });
    expect(['REQUEST_INVALID', 'REQUEST_TOO_LARGE']).toContain(answer.json.code);
  });

  it('are told of a missing header length', async () => {
    expect((await post(MODEL, tensor(4))).json.error).toContain('Inference-Header-Content-Length');
  });
});

describe('bodies', () => {
  it.each([
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['deflate', deflateSync],
    ['deflate', deflateRawSync],
    ['identity', (text: string) => Buffer.from(text)],
  ])('are taken as %s', async (encoding, encode) => {
    const body = new Uint8Array(encode(inferBody([2])));
    expect(scoresOf(await post(MODEL, body, { 'Content-Encoding': encoding }))).toEqual([5]);
  });

  it.each([
    ['an unknown compression', { 'Content-Encoding': 'br' }, 415, 'UNSUPPORTED_MEDIA'],
    ['two compressions', { 'Content-Encoding': 'gzip, gzip' }, 415, 'UNSUPPORTED_MEDIA'],
    ['a compression that is none', { 'Content-Encoding': 'gzip' }, 400, 'REQUEST_INVALID'],
    ['another type', { 'Content-Type': 'multipart/form-data; boundary=x' }, 415, 'UNSUPPORTED_MEDIA'],
    ['another character set', { 'Content-Type': 'application/json; charset=utf-16' }, 415, 'UNSUPPORTED_MEDIA'],
  ])('are refused with %s', async (_what, headers, status, code) => {
    expect(codeOf(await post(MODEL, inferBody([2]), headers as Record<string, string>))).toEqual([status, code]);
  });

  it.each([
    'application/json; charset=utf-8',
    'application/vnd.api+json',
    'text/plain',
    'application/x-www-form-urlencoded',
    '',
  ])('are taken with the type %j', async (type) => {
    expect((await post(MODEL, inferBody([2]), { 'Content-Type': type })).status).toBe(200);
  });

  it('that decompress to too much end early', async () => {
    const bomb = gzipSync(Buffer.alloc(64 << 20));
    const answer = await post(MODEL, new Uint8Array(bomb), { 'Content-Encoding': 'gzip' });
    expect(codeOf(answer)).toEqual([413, 'REQUEST_TOO_LARGE']);
  });

  it.each([
    ['nested too deep', `{"inputs":${'['.repeat(20_000)}${']'.repeat(20_000)}}`],
    ['of too many elements', `{"inputs":[${'[],'.repeat(1_100_000)}[]]}`],
  ])('%s are refused before they are parsed', async (_what, body) => {
    expect(codeOf(await post(MODEL, body))).toEqual([413, 'REQUEST_TOO_LARGE']);
  });

  it('gives long answers compressed to who takes that, and says that they vary', async () => {
    const body = inferBody(Array<number>(4_096).fill(1.5));
    const plain = await post(MODEL, body, { 'Accept-Encoding': 'identity' });
    const packed = await post(MODEL, body, { 'Accept-Encoding': 'gzip' });
    expect(Buffer.from(plain.bytes).length).toBeLessThan(32_768);
    expect([plain.headers.get('content-encoding'), packed.headers.get('content-encoding')]).toEqual([null, null]);
    const members = { outputs: [{ name: 'score' }], id: 'x'.repeat(200) };
    const long = inferBody(
      Array.from({ length: 4_096 }, (_, row) => row + 1 / 3),
      members,
    );
    for (const [accepted, encoding] of [
      ['gzip', 'gzip'],
      ['br, gzip;q=0.5', 'gzip'],
      ['gzip;q=0', null],
      ['identity', null],
    ] as const) {
      const answer = await post(MODEL, long, { 'Accept-Encoding': accepted });
      expect([accepted, answer.headers.get('content-encoding'), answer.headers.get('vary')]).toEqual([
        accepted,
        encoding,
        'Accept-Encoding',
      ]);
      expect((scoresOf(answer) as number[])[3]).toBeCloseTo(7 + 2 / 3, 5);
    }
  });
});

describe('methods', () => {
  it.each([
    ['DELETE', `/v2/models/${MODEL}/infer`, 405, 'POST, OPTIONS'],
    ['GET', `/v2/models/${MODEL}/infer`, 405, 'POST, OPTIONS'],
    ['GET', `/v1/models/${MODEL}:predict`, 405, 'POST, OPTIONS'],
    ['POST', '/v2', 405, 'GET, HEAD, OPTIONS'],
    ['PUT', '/v2/repository/index', 405, 'GET, HEAD, POST, OPTIONS'],
    ['OPTIONS', '/v2/repository/index', 204, 'GET, HEAD, POST, OPTIONS'],
    ['OPTIONS', `/v2/models/${MODEL}/infer`, 204, 'POST, OPTIONS'],
  ])('%s %s: %d, Allow %s', async (method, path, status, allow) => {
    const answer = await ask(path, { method });
    expect([answer.status, answer.headers.get('allow')]).toEqual([status, allow]);
    if (status === 405) expect(answer.json.code).toBe('METHOD_NOT_ALLOWED');
  });

  it.each(['/v2', '/v2/health/live', `/v2/models/${MODEL}`, '/v2/repository/index', '/openapi.json'])(
    'HEAD %s is GET without its body',
    async (path) => {
      const [head, get] = [await ask(path, { method: 'HEAD' }), await ask(path)];
      expect([head.status, head.bytes.length]).toEqual([200, 0]);
      const isCompressed = get.headers.get('content-encoding') !== null;
      if (!isCompressed) expect(head.headers.get('content-length')).toBe(String(get.bytes.length));
    },
  );
});

describe('versions', () => {
  it('answer metadata and readiness of each that is served, and inference of the champion', async () => {
    const described = (await ask(`/v2/models/${TRIED}/versions/2`)).json;
    expect(described).toMatchObject({ versions: ['1', '2'], parameters: { generation: 1 } });
    expect((await ask(`/v2/models/${TRIED}/versions/2/ready`)).json).toEqual({ name: TRIED, ready: true });
    // The route gives everything to the challenger; a caller who names the champion gets the champion.
    expect(scoresOf(await post(TRIED, inferBody([2])))).toEqual([7]);
    const pinned = await post(TRIED, inferBody([2]), {}, '/versions/1/infer');
    expect([scoresOf(pinned), pinned.json.model_version]).toEqual([[5], '1']);
  });

  it('on trial or unknown are refused for inference', async () => {
    const trial = await post(TRIED, inferBody([2]), {}, '/versions/2/infer');
    expect([...codeOf(trial), trial.json.error]).toEqual([
      400,
      'REQUEST_INVALID',
      'version "2" of flights/tried is on trial; the route decides who reaches it: leave /versions/… out',
    ]);
    expect(codeOf(await post(TRIED, inferBody([2]), {}, '/versions/3/infer'))).toEqual([404, 'MODEL_UNKNOWN']);
  });
});

describe('rows by feature name', () => {
  const predict = (body: unknown, model = TYPED): Promise<Given> =>
    ask(`/v1/models/${model}:predict`, { method: 'POST', body: JSON.stringify(body) });
  const row = { distance: 2, hour: 7, weekend: true, origin: 'SEA' };

  it('are scored, and name release, generation and arm', async () => {
    const answer = await predict({ id: 'r-1', instances: [row, { ...row, distance: 3, origin: null, extra: 'x' }] });
    expect([answer.status, answer.json]).toEqual([
      200,
      {
        predictions: [5, 7],
        model_version: '1',
        id: 'r-1',
        parameters: { generation: 1, arm: 'champion', release: expect.stringMatching(/^sha256:/) as unknown },
      },
    ]);
    expect((await predict({ instances: [row] }, 'flights%2Ftyped')).json.predictions).toEqual([5]);
    expect((await predict({ instances: [{ ...row, origin: undefined }] })).json.predictions).toEqual([5]);
  });

  it.each([
    ['a missing feature', { instances: [row, { hour: 7, weekend: true }] }, 400, 'row 1 lacks feature "distance"'],
    ['a name in other letters', { instances: [{ ...row, hour: undefined, Hour: 7 }] }, 400, 'it has "Hour"'],
    ['a wrong type', { instances: [row, { ...row, distance: 'far' }] }, 422, 'row 1, feature "distance": "far"'],
    ['an object for a value', { instances: [{ ...row, hour: { a: 1 } }] }, 422, 'row 0, feature "hour": an object'],
    ['a value out of range', { instances: [{ ...row, distance: 9_999 }] }, 422, 'outside 0 to 5000 mi'],
    ['no rows', { instances: [] }, 400, '`instances` is empty'],
    ['a row that is a list', { instances: [[2, 7]] }, 400, 'instances[0] must be an object'],
    ['neither rows nor keys', {}, 400, 'either `instances` or `keys`'],
    ['both', { instances: [row], keys: [{ flight: 'f-1' }] }, 400, 'either `instances` or `keys`'],
    ['keys without an online store', { keys: [{ flight: 'f-1' }] }, 400, 'this gateway has none'],
    ['keys that are none', { keys: [{}] }, 400, 'keys[0]'],
    ['too many rows', { instances: Array<unknown>(4_097).fill({}) }, 413, '4097 rows'],
  ])('are refused with %s', async (_what, body, status, text) => {
    const answer = await predict(body);
    expect([answer.status, String(answer.json.error)]).toEqual([status, expect.stringContaining(text)]);
  });

  it('are listed by model', async () => {
    expect((await ask('/v1/models')).json).toEqual({
      models: expect.arrayContaining([MODEL, TYPED, TRIED]) as unknown,
    });
    expect((await ask(`/v1/models/${TYPED}`)).json).toEqual({ name: TYPED, ready: true });
  });
});

describe('requests that are no HTTP', () => {
  function raw(text: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(gateway.port, '127.0.0.1', () => socket.write(text));
      let answer = '';
      socket.on('data', (chunk) => (answer += chunk.toString()));
      socket.on('close', () => resolve(answer));
      socket.on('error', reject);
    });
  }

  it('are answered with a code', async () => {
    const answer = await raw('NONSENSE\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('"code":"REQUEST_INVALID"');
  });

  it('and headers without end are, too', async () => {
    const answer = await raw(`GET /v2 HTTP/1.1\r\nHost: x\r\nA: ${'a'.repeat(20_000)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
    expect(answer).toContain('"code":"REQUEST_TOO_LARGE"');
    const many = Array.from({ length: 129 }, (_, at) => `A${at}: 1\r\n`).join('');
    const counted = await raw(`GET /v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${many}\r\n`);
    expect(counted).toMatch(/^HTTP\/1\.1 413 /);
  });
});
