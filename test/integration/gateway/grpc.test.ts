import type { ServiceError } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import { connect } from 'node:net';
import type { Gateway } from '../../../workers/gateway/gateway';
import type { GrpcServerOptions } from '../../../workers/gateway/grpc/grpc-server';
import { GrpcServer } from '../../../workers/gateway/grpc/grpc-server';
import { DEFAULT_LIMITS } from '../../../workers/gateway/inference/protocol';
import { InferenceClient, type Reply, scoresOf } from '../../support/inference-client';
import { GatewayFixture, MODEL, ready, until } from './fixture';
import { DISTANCE, inputSignature, linearModel, slowModel } from './models';

const SLOW = 'flights/slow';
const fixture = new GatewayFixture();
let gateway: Gateway;
let client: InferenceClient;
beforeAll(async () => {
  const inputs = [
    { ...DISTANCE, nullable: true },
    inputSignature('late', { type: 'boolean' }),
    inputSignature('seats', { type: 'integer', nullable: true }),
    inputSignature('origin', { type: 'category', values: ['SEA', 'JFK'] }),
  ];
  await fixture.route(await fixture.release(linearModel(2, 1, inputs)), null, {
    clock: 'event',
    assignment: { source: 'header', name: 'X-Caller' },
  });
  await fixture.route(await fixture.release(slowModel(400, 4), undefined, SLOW));
  gateway = await fixture.start({ grpcPort: 0, limits: { ...DEFAULT_LIMITS, bodyBytes: 20_000 } });
  await ready(gateway);
  await ready(gateway, SLOW);
  client = new InferenceClient(gateway.grpcPort!);
});
afterAll(async () => {
  client?.close();
  await fixture.dispose();
});

const EVENT_TIME = { event_time: { int64_param: 983_404_800_000 } };

/** A request in the typed form of contents. */
function typed(distances: readonly number[], changes: object = {}): object {
  const shape = [distances.length, 1];
  const all = <T>(value: T): T[] => distances.map(() => value);
  return {
    model_name: MODEL,
    parameters: EVENT_TIME,
    inputs: [
      { name: 'distance', datatype: 'FP32', shape, contents: { fp32_contents: distances } },
      { name: 'late', datatype: 'BOOL', shape, contents: { bool_contents: all(true) } },
      { name: 'seats', datatype: 'INT64', shape, contents: { int64_contents: all(180) } },
      { name: 'origin', datatype: 'BYTES', shape, contents: { bytes_contents: all(Buffer.from('SEA')) } },
    ],
    ...changes,
  };
}

/** The same in raw bytes. */
function raw(distances: readonly number[], changes: object = {}): object {
  const shape = [distances.length, 1];
  const all = (bytes: Buffer): Buffer => Buffer.concat(distances.map(() => bytes));
  return {
    model_name: MODEL,
    parameters: EVENT_TIME,
    inputs: [
      { name: 'distance', datatype: 'FP32', shape },
      { name: 'late', datatype: 'BOOL', shape },
      { name: 'seats', datatype: 'INT64', shape },
      { name: 'origin', datatype: 'BYTES', shape },
    ],
    raw_input_contents: [
      Buffer.from(Float32Array.from(distances).buffer),
      all(Buffer.of(1)),
      all(Buffer.from(BigInt64Array.of(180n).buffer)),
      all(Buffer.from('\x03\0\0\0SEA')),
    ],
    ...changes,
  };
}

async function failure(call: Promise<Reply>): Promise<{ status: string | undefined; code: unknown; details: string }> {
  const error = await call.then(
    () => {
      throw new Error('the call did not fail');
    },
    (thrown: unknown) => thrown as ServiceError,
  );
  return { status: status[error.code], code: error.metadata?.get('slipway-code')[0], details: error.details };
}

describe('V2 over gRPC', () => {
  it.each([
    ['ServerLive', {}, { live: true }],
    ['ServerReady', {}, { ready: true }],
    ['ModelReady', { name: MODEL }, { ready: true }],
    ['ModelReady', { name: MODEL, version: '1' }, { ready: true }],
    ['ModelReady', { name: MODEL, version: '2' }, { ready: false }],
    ['ModelReady', { name: 'flights/none' }, { ready: false }],
    ['Check', {}, { status: 'SERVING' }],
    ['Check', { service: 'inference.GRPCInferenceService' }, { status: 'SERVING' }],
    ['Check', { service: MODEL }, { status: 'SERVING' }],
  ])('answers %s %j', async (method, request, expected) => {
    expect(await client.call(method, request)).toEqual(expected);
  });

  it('describes server and models', async () => {
    expect(await client.call('ServerMetadata')).toMatchObject({ name: 'slipway', version: '2' });
    expect(await client.call('ModelMetadata', { name: MODEL })).toEqual({
      name: MODEL,
      versions: ['1'],
      platform: 'onnx_onnxruntime',
      inputs: [
        { name: 'distance', datatype: 'FP32', shape: ['-1', '1'] },
        { name: 'late', datatype: 'BOOL', shape: ['-1', '1'] },
        { name: 'seats', datatype: 'INT64', shape: ['-1', '1'] },
        { name: 'origin', datatype: 'BYTES', shape: ['-1', '1'] },
      ],
      outputs: expect.arrayContaining([{ name: 'score', datatype: 'FP32', shape: ['-1', '1'] }]) as unknown,
    });
    const { models } = await client.call('RepositoryIndex');
    expect(models).toEqual(
      expect.arrayContaining([{ name: MODEL, version: '1', state: 'READY', reason: '' }]) as unknown,
    );
  });

  it('scores typed contents, and says what scored them', async () => {
    const reply = await client.call('ModelInfer', typed([1, 2.5], { id: 'r-1', outputs: [{ name: 'score' }] }));
    expect(reply).toMatchObject({
      model_name: MODEL,
      model_version: '1',
      id: 'r-1',
      parameters: {
        generation: { int64_param: '1' },
        arm: { string_param: 'champion' },
        release: { string_param: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) as unknown },
      },
      outputs: [{ name: 'score', datatype: 'FP32', shape: ['2', '1'], contents: { fp32_contents: [3, 6] } }],
      raw_output_contents: [],
    });
  });

  it('scores raw contents and answers raw', async () => {
    const reply = await client.call('ModelInfer', raw([1, 2.5]));
    expect([reply['raw_output_contents'], scoresOf(reply)]).toEqual([[expect.any(Buffer)], [3, 6]]);
  });

  it('answers raw where it is asked to', async () => {
    const outputs = [{ name: 'score', parameters: { binary_data: { bool_param: true } } }];
    const reply = await client.call('ModelInfer', typed([4], { outputs }));
    expect(reply['raw_output_contents']).toEqual([Buffer.from(Float32Array.of(9).buffer)]);
  });

  it('takes NaN and the smallest INT64 for missing', async () => {
    const missing = typed([NaN]) as { inputs: object[] };
    missing.inputs[2] = {
      name: 'seats',
      datatype: 'INT64',
      shape: [1],
      contents: { int64_contents: ['-9223372036854775808'] },
    };
    // The model gives NaN for a missing distance, which is no score: what matters is that the input was taken.
    expect(await failure(client.call('ModelInfer', missing))).toMatchObject({ code: 'INFERENCE_FAILED' });
  });

  it('takes the version of the champion', async () => {
    expect(scoresOf(await client.call('ModelInfer', typed([1], { model_version: '1' })))).toEqual([3]);
  });

  it('makes an id where the caller gives none', async () => {
    const reply = await client.call('ModelInfer', typed([1]));
    expect(reply['id']).toMatch(/^gateway-1-/);
  });
});

describe('a caller’s errors over gRPC', () => {
  it.each([
    ['an unknown model', typed([1], { model_name: 'flights/none' }), 'NOT_FOUND', 'MODEL_UNKNOWN'],
    ['a version that is not served', typed([1], { model_version: '7' }), 'NOT_FOUND', 'MODEL_UNKNOWN'],
    ['a request without inputs', { model_name: MODEL, parameters: EVENT_TIME }, 'INVALID_ARGUMENT', 'REQUEST_INVALID'],
    ['a request without event time', typed([1], { parameters: {} }), 'INVALID_ARGUMENT', 'REQUEST_INVALID'],
    ['an unknown output', typed([1], { outputs: [{ name: 'other' }] }), 'INVALID_ARGUMENT', 'REQUEST_INVALID'],
    ['a value out of range', typed([9_999]), 'INVALID_ARGUMENT', 'INPUT_INVALID'],
    [
      'too many rows',
      typed(new Array<number>(4_097).fill(1), {
        inputs: [{ name: 'distance', datatype: 'FP32', shape: [4_097, 1], contents: {} }],
      }),
      'RESOURCE_EXHAUSTED',
      'REQUEST_TOO_LARGE',
    ],
    ['a long id', typed([1], { id: 'i'.repeat(300) }), 'RESOURCE_EXHAUSTED', 'REQUEST_TOO_LARGE'],
  ])('are statuses with the catalogue’s code: %s', async (_what, request, expected, code) => {
    expect(await failure(client.call('ModelInfer', request))).toMatchObject({ status: expected, code });
  });

  it('name row, feature, value, range and unit', async () => {
    const { details } = await failure(client.call('ModelInfer', raw([1, 9_999])));
    expect(details).toBe('row 1, feature "distance": 9999 is outside 0 to 5000 mi');
  });

  it('are answered where nothing can be read', async () => {
    const answer = new Promise<ServiceError | null>((resolve) => {
      const same = (bytes: Buffer): Buffer => bytes;
      const path = '/inference.GRPCInferenceService/ModelInfer';
      client.client.makeUnaryRequest(path, same, same, Buffer.from('{"inputs": []}'), (error) => resolve(error));
    });
    expect(await failure(answer.then((error) => Promise.reject(error!)))).toMatchObject({
      status: 'INVALID_ARGUMENT',
      code: 'REQUEST_INVALID',
    });
  });

  it('may be a message beyond the limit, a method that is not there, or a text with half a character', async () => {
    const large = typed([1], { id: 'i'.repeat(30_000) });
    expect(await failure(client.call('ModelInfer', large))).toMatchObject({ status: 'RESOURCE_EXHAUSTED' });
    const unknown = typed([1], { outputs: [{ name: `${'x'.repeat(76)}\u{1F600}` }] });
    expect(await failure(client.call('ModelInfer', unknown))).toMatchObject({ code: 'REQUEST_INVALID' });
    expect(await failure(client.call('ModelMetadata', { name: '\u{1F600}'.repeat(400) }))).toMatchObject({
      status: 'NOT_FOUND',
    });
    expect(await failure(client.call('Check', { service: 'nobody' }))).toMatchObject({ status: 'NOT_FOUND' });
    expect(scoresOf(await client.call('ModelInfer', typed([1])))).toEqual([3]);
  });

  it('may be bytes that are no HTTP/2', async () => {
    const socket = connect(gateway.grpcPort!, '127.0.0.1');
    socket.on('error', () => undefined).write('GET / HTTP/1.1\r\n\r\n\0\0\0'.repeat(50));
    await new Promise((resolve) => socket.once('close', resolve).resume());
    expect(scoresOf(await client.call('ModelInfer', typed([1])))).toEqual([3]);
  });
});

describe('a call over gRPC', () => {
  it('ends at its deadline, and the gateway goes on', async () => {
    const slow = { model_name: SLOW, inputs: [(typed([5]) as { inputs: object[] }).inputs[0]] };
    const before = Date.now();
    expect(await failure(client.call('ModelInfer', slow, { deadline: before + 1 }))).toMatchObject({
      status: 'DEADLINE_EXCEEDED',
    });
    expect(scoresOf(await client.call('ModelInfer', slow))).toEqual([5]);
  });

  it('may be cancelled, and the gateway goes on', async () => {
    const slow = { model_name: SLOW, inputs: [(typed([5]) as { inputs: object[] }).inputs[0]] };
    const cancelled = new Promise<ServiceError | null>((resolve) => {
      const call = client.start('ModelInfer', slow, {}, (error) => resolve(error));
      call.cancel();
    });
    expect((await cancelled)?.code).toBe(status.CANCELLED);
    expect(scoresOf(await client.call('ModelInfer', slow))).toEqual([5]);
  });

  it('is answered when it came before the gateway was asked to end', async () => {
    const own = new GatewayFixture();
    await own.route(await own.release(slowModel(400, 4)));
    const ending = await own.start({ grpcPort: 0 });
    await ready(ending);
    const caller = new InferenceClient(ending.grpcPort!);
    await caller.call('ServerLive');
    const slow = { model_name: MODEL, inputs: [(typed([5]) as { inputs: object[] }).inputs[0]] };
    const replies = [1, 2, 3, 4].map(() => caller.call('ModelInfer', slow));
    await until(() => caller.call('ServerLive').then(() => true), 'the calls before it were taken');
    await own.stop(ending);
    expect((await Promise.all(replies)).map(scoresOf)).toEqual([[5], [5], [5], [5]]);
    expect(await failure(caller.call('ServerLive'))).toMatchObject({ status: 'UNAVAILABLE' });
    caller.close();
    await own.dispose();
  });

  it('is refused where the port is taken', async () => {
    const models = { service: { options: { limits: DEFAULT_LIMITS } } } as unknown as GrpcServerOptions;
    const second = new GrpcServer({ ...models, host: '127.0.0.1', port: gateway.grpcPort! });
    await expect(second.listen()).rejects.toMatchObject({ code: 'PORT_TAKEN' });
    await second.drain();
  });
});
