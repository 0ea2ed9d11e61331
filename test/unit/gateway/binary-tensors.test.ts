import fc from 'fast-check';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { InputSignature } from '../../../workflows/domain/release';
import { decodeTensor, encodeTensor } from '../../../workers/gateway/http/binary-tensors';
import { floatsOfHalves, halvesOfFloats } from '../../../workers/gateway/http/half-floats';
import { InputPlan, type DecodedInputs } from '../../../workers/gateway/inference/input-plan';
import { MISSING_INT64 } from '../../../workers/gateway/inference/conversion';
import type { TensorData } from '../../../workers/gateway/http/tensor-data';
import { DEFAULT_LIMITS } from '../../../workers/gateway/inference/protocol';
import { inputSignature, signatureWith } from '../../integration/gateway/models';

const LIMITS = { stringLength: 64 };

/** The bytes at any offset in a larger buffer whose other bytes are noise. */
function embedded(bytes: Uint8Array, offset: number): Uint8Array {
  const around = new Uint8Array(offset + bytes.length + 16).fill(0xa5);
  around.set(bytes, offset);
  return around.subarray(offset, offset + bytes.length);
}

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof SlipwayError) return error.code;
    throw error;
  }
  return 'ok';
}

function decode(input: InputSignature, datatype: string, data: TensorData): DecodedInputs {
  const tensor = { name: input.name, datatype, shape: [data.length, 1], data };
  const request = { id: null, parameters: {}, inputs: [tensor], outputs: null };
  return new InputPlan(signatureWith([input]), DEFAULT_LIMITS).decode(request);
}

const VALUES: Readonly<Record<string, fc.Arbitrary<number | bigint | string>>> = {
  BOOL: fc.integer({ min: 0, max: 1 }),
  UINT8: fc.integer({ min: 0, max: 255 }),
  UINT16: fc.integer({ min: 0, max: 65_535 }),
  UINT32: fc.integer({ min: 0, max: 4_294_967_295 }),
  UINT64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  INT8: fc.integer({ min: -128, max: 127 }),
  INT16: fc.integer({ min: -32_768, max: 32_767 }),
  INT32: fc.integer(),
  INT64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  FP16: fc.integer({ min: -2_048, max: 2_048 }),
  BF16: fc.integer({ min: -256, max: 256 }),
  FP32: fc.float(),
  FP64: fc.double(),
  BYTES: fc.string({ unit: 'binary', maxLength: 30 }).filter((text) => Buffer.from(text).toString() === text),
};

describe('the binary tensor codec', () => {
  it.each(Object.keys(VALUES))('gives %s elements back as they were, at any alignment', (datatype) => {
    fc.assert(
      fc.property(fc.array(VALUES[datatype]!, { maxLength: 40 }), fc.nat({ max: 15 }), (values, offset) => {
        const bytes = embedded(encodeTensor(datatype, values), offset);
        const decoded = decodeTensor('t', datatype, values.length, bytes, LIMITS);
        expect(Array.from(decoded as ArrayLike<unknown>)).toEqual(values);
      }),
    );
  });

  it.each(Object.keys(VALUES).filter((datatype) => datatype !== 'BYTES'))(
    'refuses %s bytes of any other length than the shape says',
    (datatype) => {
      const size = encodeTensor(datatype, [1]).length;
      fc.assert(
        fc.property(fc.nat({ max: 64 }), fc.nat({ max: 600 }), (elements, bytes) => {
          const code = codeOf(() => decodeTensor('t', datatype, elements, new Uint8Array(bytes), LIMITS));
          expect(code).toBe(elements * size === bytes ? 'ok' : 'REQUEST_INVALID');
        }),
      );
    },
  );

  it('never reads a BYTES tensor beyond its end, and never allocates what a shape or a length only claims', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 80 }),
        fc.oneof(fc.nat({ max: 20 }), fc.constant(2 ** 52)),
        fc.nat({ max: 7 }),
        (bytes, elements, offset) => {
          const code = codeOf(() => decodeTensor('t', 'BYTES', elements, embedded(bytes, offset), LIMITS));
          expect(['ok', 'REQUEST_INVALID', 'REQUEST_TOO_LARGE']).toContain(code);
          if (code === 'ok') expect(elements * 4).toBeLessThanOrEqual(bytes.length);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('refuses text that is no UTF-8, and takes the replacement character where it was sent', () => {
    const bytesOf = (...text: number[]): Uint8Array => Uint8Array.of(text.length, 0, 0, 0, ...text);
    expect(codeOf(() => decodeTensor('t', 'BYTES', 1, bytesOf(0xff, 0xfe), LIMITS))).toBe('REQUEST_INVALID');
    expect(decodeTensor('t', 'BYTES', 1, bytesOf(0xef, 0xbf, 0xbd), LIMITS)).toEqual(['\ufffd']);
  });

  it('views aligned bytes and copies the others', () => {
    const bytes = new Uint8Array(new Float32Array([1, 2, 3]).buffer);
    const viewed = decodeTensor('t', 'FP32', 2, bytes.subarray(4), LIMITS) as Float32Array;
    const copied = decodeTensor('t', 'FP32', 2, embedded(bytes.subarray(4), 1), LIMITS) as Float32Array;
    expect([viewed.buffer === bytes.buffer, copied.buffer === bytes.buffer]).toEqual([true, false]);
    expect([[...viewed], [...copied]]).toEqual([
      [2, 3],
      [2, 3],
    ]);
  });

  it('takes and gives every half exactly', () => {
    const halves = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);
    const floats = floatsOfHalves(halves);
    expect([floats[0x0001], floats[0x03ff], floats[0x3c00], floats[0x7bff], floats[0xc000], floats[0x7c00]]).toEqual([
      2 ** -24,
      1_023 * 2 ** -24,
      1,
      65_504,
      -2,
      Infinity,
    ]);
    const back = halvesOfFloats(floats);
    const wrong = [...halves].filter((bits, at) => back[at] !== bits && !Number.isNaN(floats[at]));
    expect(wrong).toEqual([]);
    // ties to even, below the smallest, beyond the largest
    expect([...halvesOfFloats(Float32Array.of(1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -26, 65_520, NaN))]).toEqual([
      0x3c00, 0x3c02, 0, 0x7c00, 0x7e00,
    ]);
  });
});

describe('binary tensors as inputs of a model', () => {
  const number = inputSignature('x', { nullable: true });
  const integer = inputSignature('x', { type: 'integer', nullable: true });
  const boolean = inputSignature('x', { type: 'boolean' });

  it('takes 32-bit floats as they lie, NaN as missing, and refuses an infinite one', () => {
    const data = Float32Array.of(1.5, NaN);
    expect(decode(number, 'FP32', data).columns[0]).toBe(data);
    expect(codeOf(() => decode(number, 'FP32', Float32Array.of(1, Infinity)))).toBe('INPUT_INVALID');
    expect(codeOf(() => decode(number, 'FP64', Float64Array.of(1e39)))).toBe('INPUT_INVALID');
    expect(codeOf(() => decode({ ...number, nullable: false }, 'FP32', data))).toBe('INPUT_INVALID');
  });

  it('takes 64-bit integers that a double holds and refuses exactly the others', () => {
    const edges = [2n ** 53n - 1n, -(2n ** 53n) + 1n, 0n, -1n, 4_294_967_296n];
    expect(decode(integer, 'INT64', BigInt64Array.from(edges)).columns[0]).toEqual(Float64Array.from(edges, Number));
    for (const beyond of [2n ** 53n, -(2n ** 53n), 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n) + 1n])
      expect(codeOf(() => decode(integer, 'INT64', BigInt64Array.of(beyond)))).toBe('INPUT_INVALID');
    expect(codeOf(() => decode(integer, 'UINT64', BigUint64Array.of(2n ** 64n - 1n)))).toBe('INPUT_INVALID');
    expect(decode(integer, 'INT64', BigInt64Array.of(-(2n ** 63n))).columns[0]).toEqual(Float64Array.of(MISSING_INT64));
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
        const isHeld = (value >= -(2n ** 53n) + 1n && value <= 2n ** 53n - 1n) || value === -(2n ** 63n);
        expect(codeOf(() => decode(integer, 'INT64', BigInt64Array.of(value)))).toBe(isHeld ? 'ok' : 'INPUT_INVALID');
      }),
    );
  });

  it('refuses an integer that a 32-bit float would round, and a float that is no integer', () => {
    expect(codeOf(() => decode(number, 'INT32', Int32Array.of(16_777_216)))).toBe('ok');
    expect(codeOf(() => decode(number, 'INT32', Int32Array.of(16_777_217)))).toBe('INPUT_INVALID');
    expect(codeOf(() => decode(integer, 'FP32', Float32Array.of(3.5)))).toBe('INPUT_INVALID');
    expect(decode(integer, 'FP64', Float64Array.of(3, NaN)).columns[0]).toEqual(Float64Array.of(3, MISSING_INT64));
  });

  it('takes 0 and 1 as booleans and nothing else', () => {
    expect(decode(boolean, 'BOOL', Uint8Array.of(0, 1)).columns[0]).toEqual(Float64Array.of(0, 1));
    expect(codeOf(() => decode(boolean, 'BOOL', Uint8Array.of(2)))).toBe('INPUT_INVALID');
  });

  it('imputes and flags as JSON values are, and leaves the bytes as they were', () => {
    const data = Float32Array.of(1, 99, NaN);
    const input = inputSignature('x', { range: [0, 10], nullable: true });
    expect(decode({ ...input, onInvalid: 'impute' }, 'FP32', data)).toMatchObject({ imputed: 1, flagged: 0 });
    expect(decode({ ...input, onInvalid: 'impute' }, 'FP32', data).columns[0]).toEqual(Float32Array.of(1, NaN, NaN));
    expect(decode({ ...input, onInvalid: 'flag' }, 'FP32', data)).toMatchObject({ imputed: 0, flagged: 1 });
    expect(data).toEqual(Float32Array.of(1, 99, NaN));
  });
});
