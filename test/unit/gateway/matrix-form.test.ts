import fc from 'fast-check';
import type { InputSignature } from '../../../workflows/domain/release';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { TensorData } from '../../../workers/gateway/http/tensor-data';
import { type DecodedInputs, InputPlan } from '../../../workers/gateway/inference/input-plan';
import { DEFAULT_LIMITS } from '../../../workers/gateway/inference/protocol';
import { inputSignature, signatureWith } from '../../integration/gateway/models';

const INPUTS = [
  inputSignature('a', { nullable: true }),
  inputSignature('b', { type: 'integer' }),
  inputSignature('c', { type: 'boolean' }),
];

function decode(
  data: TensorData,
  shape: readonly number[],
  changes: { inputs?: readonly InputSignature[]; name?: string; datatype?: string } = {},
): DecodedInputs {
  const { inputs = INPUTS, name = 'input-0', datatype = 'FP32' } = changes;
  const request = { id: null, parameters: {}, inputs: [{ name, datatype, shape, data }], outputs: null };
  return new InputPlan(signatureWith(inputs), DEFAULT_LIMITS).decode(request);
}

function failure(work: () => unknown): [string, string] {
  try {
    work();
  } catch (error) {
    if (error instanceof SlipwayError) return [error.code, error.message];
    throw error;
  }
  throw new Error('it did not fail');
}

describe('the matrix form', () => {
  it('holds a column for each input in the order of the signature, whatever it was encoded as', () => {
    const row = fc.tuple(
      fc.float({ noNaN: true, noDefaultInfinity: true }),
      fc.integer({ max: 2 ** 20, min: -(2 ** 20) }),
      fc.nat(1),
    );
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 30 }), (rows) => {
        const flat = rows.flat();
        const expected = [0, 1, 2].map((column) => rows.map((values) => values[column]! + 0));
        const shape = [rows.length, 3];
        for (const data of [flat, rows, Float32Array.from(flat), Float64Array.from(flat)]) {
          const { columns } = decode(data, shape, { datatype: data instanceof Float64Array ? 'FP64' : 'FP32' });
          expect(columns.map((column) => Array.from(column, (value) => (value as number) + 0))).toEqual(expected);
        }
      }),
    );
  });

  it('holds 64-bit integers and a single column too', () => {
    const integers = BigInt64Array.of(1n, 2n, 1n, 3n, 4n, 0n);
    const { columns } = decode(integers, [2, 3], { datatype: 'INT64' });
    expect(columns.map((column) => Array.from(column))).toEqual([
      [1, 3],
      [2, 4],
      [1, 0],
    ]);
    expect(decode([1.5, null], [2, 1], { inputs: [INPUTS[0]!] }).columns).toEqual([[1.5, NaN]]);
    expect(decode([[1.5], [2]], [2, 1], { inputs: [INPUTS[0]!] }).columns).toEqual([[1.5, 2]]);
  });

  it('names row and feature of a value that is refused', () => {
    expect(failure(() => decode([1, 2, 1, 1, 2.5, 1], [2, 3]))).toEqual([
      'INPUT_INVALID',
      'row 1, feature "b": 2.5 is no exact INT64 value',
    ]);
    expect(failure(() => decode(Float32Array.of(1, 2, 7), [1, 3]))[1]).toBe(
      'row 0, feature "c": 7 is no exact BOOL value',
    );
  });

  it.each([
    ['fewer values than the shape says', [1, 2, 1], [2, 3], {}],
    [
      'rows of another width',
      [
        [1, 2, 1],
        [1, 2],
      ],
      [2, 3],
      {},
    ],
    ['another number of columns', [1, 2], [1, 2], {}],
    ['the name of an input', [1, 2, 1], [1, 3], { name: 'a' }],
    ['a model that takes text', [1, 2], [1, 2], { inputs: [INPUTS[0]!, inputSignature('d', { type: 'category' })] }],
  ])('is refused with %s', (_what, data, shape, changes) => {
    expect(failure(() => decode(data as TensorData, shape, changes))[0]).toBe('REQUEST_INVALID');
  });

  it('keeps to the limit of rows before it takes anything apart', () => {
    expect(failure(() => decode([], [2 ** 40, 3]))[0]).toBe('REQUEST_TOO_LARGE');
  });
});
