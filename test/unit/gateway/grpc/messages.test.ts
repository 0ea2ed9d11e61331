import * as fc from 'fast-check';
import { encodeAnswer } from '../../../../workers/gateway/grpc/infer-answer';
import { InferMessage } from '../../../../workers/gateway/grpc/infer-message';
import type { Answer } from '../../../../workers/gateway/inference/answer';
import { WireWriter } from '../../../../workers/gateway/grpc/wire-writer';
import { encodeTensor } from '../../../../workers/gateway/http/binary-tensors';
import { DEFAULT_LIMITS } from '../../../../workers/gateway/inference/protocol';
import type { ErrorCode } from '../../../../workflows/domain/errors';
import { SlipwayError } from '../../../../workflows/domain/errors';
import { decode, encode } from '../../../support/inference-proto';

const REQUEST = 'inference.ModelInferRequest';

function read(bytes: Buffer, untilMs = Infinity): ReturnType<InferMessage['request']> {
  return new InferMessage(bytes).request(DEFAULT_LIMITS, untilMs);
}

/** An error of this code, whatever it says. */
function refusal(code: ErrorCode): Error {
  return expect.objectContaining({ code }) as Error;
}

/** By datatype: the field of contents, values that it may hold, and what they read as. */
const DATATYPES: [string, string, fc.Arbitrary<unknown>, (value: never) => unknown][] = [
  ['BOOL', 'bool_contents', fc.boolean(), Number],
  ['INT8', 'int_contents', fc.integer({ min: -128, max: 127 }), unchanged],
  ['INT32', 'int_contents', fc.integer(), unchanged],
  ['INT64', 'int64_contents', fc.maxSafeInteger(), unchanged],
  ['UINT16', 'uint_contents', fc.integer({ min: 0, max: 65_535 }), unchanged],
  ['UINT32', 'uint_contents', fc.integer({ min: 0, max: 2 ** 32 - 1 }), unchanged],
  ['UINT64', 'uint64_contents', fc.maxSafeNat(), unchanged],
  ['FP32', 'fp32_contents', fc.float(), nullOfNaN],
  ['FP64', 'fp64_contents', fc.double(), nullOfNaN],
  ['BYTES', 'bytes_contents', fc.string({ unit: 'binary' }), String],
];

function unchanged(value: unknown): unknown {
  return value;
}

function nullOfNaN(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}

describe('requests as protobufjs writes them', () => {
  it.each(DATATYPES)('give back the %s values that went in', (datatype, field, value, expected) => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 40 }), fc.string(), (values, name) => {
        const sent = datatype === 'BYTES' ? values.map((text) => Buffer.from(text as string)) : values;
        const input = { name, datatype, shape: [values.length, 1], contents: { [field]: sent } };
        const [tensor] = read(encode(REQUEST, { model_name: 'a/b', inputs: [input] })).inputs;
        expect(tensor).toEqual({
          name,
          datatype,
          shape: [values.length, 1],
          data: values.map((one) => expected(one as never)),
        });
      }),
      { seed: 1, numRuns: 100 },
    );
  });

  it.each(DATATYPES)('give back raw %s values as the binary extension does', (datatype, _field, value) => {
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 40 }), (values) => {
        const raw = encodeTensor(datatype, values);
        const [tensor] = read(
          encode(REQUEST, { inputs: [{ name: 'x', datatype, shape: [values.length, 1] }], raw_input_contents: [raw] }),
        ).inputs;
        const expected = values.map((one) => (datatype === 'FP32' ? Math.fround(one as number) : one));
        expect(
          Array.from(tensor!.data as ArrayLike<unknown>, (one) => (typeof one === 'string' ? one : Number(one ?? NaN))),
        ).toEqual(expected.map((one) => (typeof one === 'string' ? one : Number(one))));
      }),
      { seed: 1, numRuns: 100 },
    );
  });

  it('keep id, parameters of all kinds, and requested outputs', () => {
    const request = read(
      encode(REQUEST, {
        model_name: 'flights/late',
        id: 'r-1',
        parameters: {
          flag: { bool_param: true },
          off: { bool_param: false },
          event_time: { int64_param: 983_404_800_000 },
          before: { int64_param: -5 },
          name: { string_param: 'SEA' },
          rate: { double_param: 0.25 },
          priority: { uint64_param: 2 },
        },
        outputs: [{ name: 'score' }],
      }),
    );
    expect(request).toEqual({
      id: 'r-1',
      inputs: [],
      outputs: ['score'],
      parameters: {
        flag: true,
        off: false,
        event_time: 983_404_800_000,
        before: -5,
        name: 'SEA',
        rate: 0.25,
        priority: 2,
      },
    });
  });

  it('name the model before the rest is read', () => {
    const message = new InferMessage(encode(REQUEST, { model_name: 'flights/late', model_version: '3' }));
    expect([message.model, message.version]).toEqual(['flights/late', '3']);
  });

  it.each([
    [{}, false],
    [{ parameters: { binary_data_output: { bool_param: true } } }, true],
    [{ outputs: [{ name: 'score', parameters: { binary_data: { bool_param: true } } }] }, true],
    [{ outputs: [{ name: 'score', parameters: { binary_data: { bool_param: false } } }] }, false],
    [{ inputs: [{ name: 'x', datatype: 'BOOL', shape: [1] }], raw_input_contents: [Buffer.of(1)] }, true],
  ])('%j ask for a raw answer: %s', (message, expected) => {
    const read = new InferMessage(encode(REQUEST, message));
    read.request(DEFAULT_LIMITS, Infinity);
    expect(read.isRaw).toBe(expected);
  });

  it('take unpacked numbers and contents that come in two parts', () => {
    const first = encode('inference.InferTensorContents', { fp32_contents: [1] });
    const unpacked = Buffer.concat([Buffer.of((6 << 3) | 5), Buffer.from(Float32Array.of(2).buffer)]);
    const head = new WireWriter().string(1, 'x').string(2, 'FP32').int64s(3, [2]).finish();
    const contents = [first, unpacked].flatMap((part) => [Buffer.of((5 << 3) | 2, part.length), part]);
    const tensor = Buffer.concat([head, ...contents]);
    const request = read(Buffer.concat([Buffer.of((5 << 3) | 2, tensor.length), tensor]));
    expect(request.inputs[0]!.data).toEqual([1, 2]);
  });

  it('take the smallest INT64 for missing, and no other for it', () => {
    const values = [-(2n ** 63n), -(2n ** 63n) + 1n, -1n, 2n ** 63n - 1n].map(String);
    const input = { name: 'x', datatype: 'INT64', shape: [4], contents: { int64_contents: values } };
    const [tensor] = read(encode(REQUEST, { inputs: [input] })).inputs;
    expect(tensor!.data).toEqual([-(2 ** 63), -(2 ** 62), -1, 2 ** 63]);
  });
});

describe('the deadline of a call', () => {
  it.each([
    [{}, 50_000],
    [{ timeout: { int64_param: 0 } }, 50_000],
    [{ timeout: { int64_param: 1_000 } }, 1_000],
    [{ timeout: { int64_param: 900_000_000 } }, 50_000],
  ])('is a timeout in microseconds where it comes first: %j', (parameters, expected) => {
    jest.useFakeTimers({ now: 1_000_000 });
    const { timeout } = read(encode(REQUEST, { parameters }), 1_000_050).parameters;
    jest.useRealTimers();
    expect(timeout).toBe(expected);
  });
});

describe('requests that nobody should send', () => {
  it.each([
    ['contents of another datatype', { inputs: [{ name: 'x', datatype: 'FP32', contents: { int_contents: [1] } }] }],
    ['a datatype that V2 lacks', { inputs: [{ name: 'x', datatype: 'FP8', contents: {} }] }],
    ['FP16 that is not raw', { inputs: [{ name: 'x', datatype: 'FP16', contents: { fp32_contents: [1] } }] }],
    ['raw bytes for some inputs only', { inputs: [{ name: 'x' }, { name: 'y' }], raw_input_contents: [Buffer.of(1)] }],
    [
      'raw bytes and contents',
      {
        inputs: [{ name: 'x', datatype: 'BOOL', shape: [1], contents: { bool_contents: [true] } }],
        raw_input_contents: [Buffer.of(1)],
      },
    ],
    [
      'too few raw bytes',
      { inputs: [{ name: 'x', datatype: 'FP32', shape: [2] }], raw_input_contents: [Buffer.alloc(4)] },
    ],
    [
      'a shape beyond counting',
      { inputs: [{ name: 'x', datatype: 'FP32', shape: [2 ** 40, 2 ** 40] }], raw_input_contents: [Buffer.alloc(4)] },
    ],
    [
      'a negative shape',
      { inputs: [{ name: 'x', datatype: 'FP32', shape: [-1] }], raw_input_contents: [Buffer.alloc(4)] },
    ],
  ])('are refused: %s', (_what, message) => {
    expect(() => read(encode(REQUEST, message))).toThrow(refusal('REQUEST_INVALID'));
  });

  it('are refused beyond the limits', () => {
    const inputs = Array.from({ length: 1_025 }, () => ({ name: 'x' }));
    expect(() => read(encode(REQUEST, { inputs }))).toThrow(refusal('REQUEST_TOO_LARGE'));
    expect(() => read(encode(REQUEST, { id: 'i'.repeat(257) }))).toThrow(refusal('REQUEST_TOO_LARGE'));
  });

  it('throw nothing but errors of the catalogue, whatever the bytes are', () => {
    const valid = encode(REQUEST, {
      model_name: 'flights/late',
      id: 'r-1',
      parameters: { timeout: { int64_param: 5 } },
      inputs: [
        { name: 'x', datatype: 'FP32', shape: [2, 1], contents: { fp32_contents: [1, 2] } },
        { name: 'y', datatype: 'BYTES', shape: [1], contents: { bytes_contents: [Buffer.from('é')] } },
      ],
      outputs: [{ name: 'score' }],
    });
    const flips = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 });
    const mutated = fc.tuple(flips, fc.nat(valid.length)).map(([changes, length]) => {
      const bytes = Buffer.from(valid);
      for (const [at, value] of changes) bytes[at] = value;
      return length % 3 === 0 ? bytes.subarray(0, length) : bytes;
    });
    const random = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));
    const outcomes = { read: 0, refused: 0 };
    fc.assert(
      fc.property(fc.oneof(mutated, random), (bytes) => {
        try {
          read(bytes);
          outcomes.read += 1;
        } catch (error) {
          expect(error).toBeInstanceOf(SlipwayError);
          expect((error as SlipwayError).code).toMatch(/^REQUEST_(INVALID|TOO_LARGE)$/);
          outcomes.refused += 1;
        }
      }),
      { seed: 1, numRuns: 5_000 },
    );
    expect(Math.min(outcomes.read, outcomes.refused)).toBeGreaterThan(300);
  });
});

describe('answers as protobufjs reads them', () => {
  const release = {
    ref: { model: 'flights/late', version: 7, digest: `sha256:${'a'.repeat(64)}` },
    manifest: { signature: { output: { name: 'score', datatype: 'FP32' } } },
  } as unknown as Answer['release'];

  it.each([false, true])('hold the scores exactly and say what they came from (raw: %s)', (isRaw) => {
    fc.assert(
      fc.property(
        fc.float32Array({ minLength: 1, maxLength: 300 }),
        fc.string({ unit: 'grapheme', maxLength: 60 }),
        fc.integer({ min: 1, max: 2 ** 40 }),
        (scores, requestId, generation) => {
          const bytes = encodeAnswer({ release, arm: 'challenger', generation, requestId, scores, outputs: [] }, isRaw);
          const answer = decode('inference.ModelInferResponse', bytes);
          expect(answer).toMatchObject({
            model_name: 'flights/late',
            model_version: '7',
            id: requestId,
            parameters: {
              generation: { int64_param: String(generation) },
              arm: { string_param: 'challenger' },
              release: { string_param: release.ref.digest },
            },
          });
          expect(scoresOf(answer)).toEqual({ shape: [String(scores.length), '1'], isRaw, scores: [...scores] });
        },
      ),
      { seed: 1, numRuns: 200 },
    );
  });
});

function scoresOf(answer: Record<string, unknown>): object {
  const [output] = answer['outputs'] as {
    name: string;
    shape: string[];
    contents: { fp32_contents: number[] } | null;
  }[];
  const [raw] = answer['raw_output_contents'] as Buffer[];
  const scores = raw
    ? [...new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length))]
    : output!.contents!.fp32_contents;
  return { shape: output!.shape, isRaw: raw !== undefined, scores };
}
