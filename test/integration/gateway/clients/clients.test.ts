import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ELEMENT, GraphBuilder } from '../../../../infra/onnx/graph-builder';
import { scoreRows } from '../../../../infra/onnx/score-table';
import { openSession } from '../../../../infra/onnx/session';
import type { Gateway } from '../../../../workers/gateway/gateway';
import { pythonEnvironment } from '../../../support/python-environment';
import { GatewayFixture, MODEL, ready } from '../fixture';
import { DISTANCE, inputSignature, signatureWith } from '../models';

const WORDS = ['SEA', 'JFK', 'Zürich', '東京'];
const ROWS = [
  { distance: 100.5, late: true, seats: 180, origin: 'SEA' },
  { distance: 0, late: false, seats: -7, origin: '東京' },
  { distance: 4_999.75, late: true, seats: 2 ** 40, origin: 'JFK' },
  { distance: 7, late: false, seats: 0, origin: 'Zürich' },
];

/** score = 2 distance + late + seats / 2 + 100 times the place of the word: each datatype counts. */
function model(): { onnx: Uint8Array; signature: ReturnType<typeof signatureWith> } {
  const inputs = [
    DISTANCE,
    inputSignature('late', { type: 'boolean' }),
    inputSignature('seats', { type: 'integer' }),
    inputSignature('origin', { type: 'category', values: WORDS }),
  ];
  const graph = new GraphBuilder();
  for (const [name, element] of [
    ['distance', 'float'],
    ['late', 'bool'],
    ['seats', 'int64'],
    ['origin', 'string'],
  ] as const)
    graph.input(name, element, ['n', 1]);
  const words = { keys_strings: WORDS, values_int64s: WORDS.map((_, place) => place), default_int64: -1 };
  const place = graph.op('LabelEncoder', ['origin'], words, 'ai.onnx.ml');
  const parts = [
    graph.op('Mul', ['distance', graph.floats([2], [1])]),
    graph.op('Cast', ['late'], { to: ELEMENT.float }),
    graph.op('Mul', [graph.op('Cast', ['seats'], { to: ELEMENT.float }), graph.floats([0.5], [1])]),
    graph.op('Mul', [graph.op('Cast', [place], { to: ELEMENT.float }), graph.floats([100], [1])]),
  ];
  graph.output(graph.op('Sum', parts), 'float', ['n', 1], 'score');
  return { onnx: graph.modelBytes('sum'), signature: signatureWith(inputs) };
}

const fixture = new GatewayFixture();
let gateway: Gateway;
let expected: number[];
let python: string | null;
beforeAll(async () => {
  python = pythonEnvironment(join(__dirname, 'requirements.txt'));
  const { onnx, signature } = model();
  expected = [...(await scoreRows(await openSession(onnx), signature, ROWS))];
  await fixture.route(await fixture.release({ onnx, signature }), null, { clock: 'event' });
  gateway = await fixture.start({ grpcPort: 0 });
  await ready(gateway);
}, 900_000);
afterAll(() => fixture.dispose());

async function run(script: string, ...args: readonly string[]): Promise<Record<string, unknown>> {
  const { stdout } = await promisify(execFile)(
    python!,
    [join(__dirname, script), ...args, MODEL, JSON.stringify(ROWS)],
    {
      maxBuffer: 1 << 24,
    },
  );
  return JSON.parse(stdout) as Record<string, unknown>;
}

const address = (): string => `127.0.0.1:${gateway.port}`;
const grpcAddress = (): string => `127.0.0.1:${gateway.grpcPort}`;
const INPUTS = [
  ['distance', 'FP32', [-1, 1]],
  ['late', 'BOOL', [-1, 1]],
  ['seats', 'INT64', [-1, 1]],
  ['origin', 'BYTES', [-1, 1]],
];
const OUT_OF_RANGE = 'row 0, feature "distance": 9999 is outside 0 to 5000 mi';

/** What both of tritonclient's protocols must give, each with its own words for an error. */
function tritonAnswer(statuses: { range: string; model: string; invalid: string }): Record<string, unknown> {
  const containing = (text: string): unknown => expect.stringContaining(text) as unknown;
  const failure = (status: string, message: unknown): object => ({ type: 'InferenceServerException', status, message });
  return {
    live: true,
    ready: true,
    model_ready: [true, true, false],
    server: 'slipway',
    inputs: INPUTS,
    scores: expected,
    single: expected,
    named: expected,
    id: 'r-1',
    version: '1',
    patient: expected,
    async: new Array<number[]>(8).fill(expected),
    gzip: expected,
    errors: {
      range: failure(statuses.range, containing(OUT_OF_RANGE)),
      model: failure(statuses.model, containing('flights/none')),
      output: failure(statuses.invalid, containing('"other"')),
      parameters: failure(statuses.invalid, containing('event_time')),
    },
  };
}

describe('tritonclient from PyPI', () => {
  it('gets over gRPC what direct inference gives', async () => {
    if (python === null) return;
    expect(await run('triton.py', 'grpc', grpcAddress())).toEqual({
      ...tritonAnswer({
        range: 'StatusCode.INVALID_ARGUMENT',
        model: 'StatusCode.NOT_FOUND',
        invalid: 'StatusCode.INVALID_ARGUMENT',
      }),
      index: { models: [{ name: MODEL, version: '1', state: 'READY' }] },
      'in time': expected,
    });
  }, 180_000);

  it('gets over HTTP what direct inference gives: binary, JSON, compressed', async () => {
    if (python === null) return;
    expect(await run('triton.py', 'http', address())).toEqual({
      ...tritonAnswer({ range: '422', model: '404', invalid: '400' }),
      index: [{ name: MODEL, version: '1', state: 'READY', reason: '' }],
      json: expected,
      deflate: expected,
    });
  }, 180_000);
});

describe('KServe’s client from PyPI', () => {
  it('gets over REST and gRPC what direct inference gives', async () => {
    if (python === null) return;
    const same = {
      live: true,
      ready: true,
      model_ready: [true, false],
      scores: expected,
      binary: expected,
      id: 'r-1',
      version: '1',
    };
    const message = expect.stringContaining(OUT_OF_RANGE) as unknown;
    expect(await run('kserve-client.py', gateway.url, grpcAddress())).toEqual({
      rest: {
        ...same,
        // The client leaves it out of what it reads.
        version: null,
        range: { status: 422, message },
        model: { status: 404, message: expect.stringContaining('flights/none') as unknown },
      },
      grpc: { ...same, range: { status: 'INVALID_ARGUMENT', message } },
    });
  }, 180_000);
});
