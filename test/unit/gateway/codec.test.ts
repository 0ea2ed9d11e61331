import fc from 'fast-check';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { InputSignature, ReleaseManifest } from '../../../workflows/domain/release';
import { MISSING_INT64 } from '../../../workers/gateway/inference/conversion';
import { InputPlan } from '../../../workers/gateway/inference/input-plan';
import { DEFAULT_LIMITS, parseInferRequest } from '../../../workers/gateway/inference/protocol';
import { problemOf } from '../../../workers/gateway/inference/problem';
import { encodeAnswer, encodeProblem } from '../../../workers/gateway/http/responses';
import type { LoadedRelease } from '../../../workers/gateway/routes/served-model';
import { inputSignature, signatureWith } from '../../integration/gateway/models';

const INPUTS = [
  inputSignature('number', { nullable: true }),
  inputSignature('integer', { type: 'integer', nullable: true }),
  inputSignature('category', { type: 'category', nullable: true }),
  inputSignature('boolean', { type: 'boolean' }),
];

function decode(inputs: readonly InputSignature[], body: unknown): ReturnType<InputPlan['decode']> {
  return new InputPlan(signatureWith(inputs), DEFAULT_LIMITS).decode(
    parseInferRequest(JSON.stringify(body), DEFAULT_LIMITS),
  );
}

function tensor(name: string, datatype: string, data: unknown[], shape: number[] = [data.length, 1]): object {
  return { name, datatype, shape, data };
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

describe('the V2 codec', () => {
  it('reads back every value of every type, whatever the order, extra tensors and nesting', () => {
    const row = fc.record({
      number: fc.option(fc.float({ noNaN: true, noDefaultInfinity: true })),
      integer: fc.option(fc.maxSafeInteger()),
      category: fc.option(fc.string({ minLength: 1, maxLength: 20 })),
      boolean: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.array(row, { minLength: 1, maxLength: 20 }),
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        (rows, isNested, isFlatShape, isReversed) => {
          const values = (name: keyof (typeof rows)[number]): unknown[] =>
            rows.map((each) => (isNested ? [each[name]] : each[name]));
          const shape = isFlatShape ? [rows.length] : [rows.length, 1];
          const tensors = [
            tensor('extra', 'FP32', values('number'), shape),
            tensor('number', 'FP32', values('number'), shape),
            tensor('integer', 'INT64', values('integer'), shape),
            tensor('category', 'BYTES', values('category'), shape),
            tensor('boolean', 'BOOL', values('boolean'), shape),
          ];
          const decoded = decode(INPUTS, { inputs: isReversed ? tensors.reverse() : tensors });
          expect(decoded.rows).toBe(rows.length);
          // JSON has no negative zero.
          expect(decoded.columns[0]).toEqual(rows.map(({ number }) => (number === null ? NaN : number + 0)));
          expect(decoded.columns[1]).toEqual(
            rows.map(({ integer }) => (integer === null ? MISSING_INT64 : integer + 0)),
          );
          expect(decoded.columns[2]).toEqual(rows.map(({ category }) => category ?? ''));
          expect(decoded.columns[3]).toEqual(rows.map(({ boolean }) => Number(boolean)));
        },
      ),
    );
  });

  it('encodes scores so that reading them gives the same 32-bit values', () => {
    const release = {
      ref: { model: 'a/b', version: 3, digest: 'sha256:x' },
      manifest: { signature: signatureWith([]) } as unknown as ReleaseManifest,
    } as unknown as LoadedRelease;
    fc.assert(
      fc.property(
        fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 50 }),
        fc.string(),
        (scores, requestId) => {
          const given = {
            release,
            arm: 'champion',
            generation: 5,
            requestId,
            scores: Float32Array.from(scores),
            outputs: [],
          } as const;
          const answer = JSON.parse(encodeAnswer(given)) as {
            id: string;
            outputs: { shape: number[]; data: number[] }[];
          };
          expect(answer.id).toBe(requestId);
          expect(answer.outputs[0]!.shape).toEqual([scores.length, 1]);
          expect(answer.outputs[0]!.data.map((value) => Math.fround(value))).toEqual(scores.map((value) => value + 0));
        },
      ),
    );
  });

  it('never throws anything but a catalogued 4xx, whatever the body is', () => {
    const plan = new InputPlan(signatureWith(INPUTS), DEFAULT_LIMITS);
    const broken = fc.oneof(
      fc.string(),
      fc.json(),
      fc
        .record({
          inputs: fc.array(
            fc.record({
              name: fc.constantFrom('number', 'integer', 'category', 'boolean'),
              datatype: fc.constantFrom('FP32', 'INT64', 'BYTES', 'BOOL', 'X'),
              shape: fc.array(fc.oneof(fc.integer(), fc.double(), fc.string()), { maxLength: 3 }),
              data: fc.array(fc.anything(), { maxLength: 4 }),
            }),
          ),
        })
        .map(
          (body) =>
            JSON.stringify(body, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)) ?? '',
        ),
    );
    fc.assert(
      fc.property(broken, (text) => {
        try {
          plan.decode(parseInferRequest(text, DEFAULT_LIMITS));
        } catch (error) {
          expect(error).toBeInstanceOf(SlipwayError);
          expect(['REQUEST_INVALID', 'REQUEST_TOO_LARGE', 'INPUT_INVALID']).toContain((error as SlipwayError).code);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ['FP64', [1.5], 'FP32 takes FP64', null],
    ['INT32', [16_777_216], 'FP32 takes an integer it can hold', null],
    ['INT32', [16_777_217], 'FP32 refuses an integer it cannot hold', 'INPUT_INVALID'],
    ['FP64', [1e39], 'FP32 refuses what would be infinite', 'INPUT_INVALID'],
    ['BYTES', ['1'], 'FP32 refuses text', 'REQUEST_INVALID'],
    ['FP32', ['1'], 'FP32 refuses text in a number tensor', 'INPUT_INVALID'],
  ])('%s %j: %s', (datatype, data, _title, code) => {
    const read = (): unknown =>
      decode([inputSignature('number')], { inputs: [tensor('number', datatype, data)] }).columns;
    if (code === null) expect(read()).toEqual([data]);
    else expect(failure(read)[0]).toBe(code);
  });

  it('takes whole floats as integers and refuses the others', () => {
    const input = inputSignature('integer', { type: 'integer' });
    expect(decode([input], { inputs: [tensor('integer', 'FP64', [3])] }).columns).toEqual([[3]]);
    expect(failure(() => decode([input], { inputs: [tensor('integer', 'FP64', [3.5])] }))[1]).toContain('3.5');
    expect(failure(() => decode([input], { inputs: [tensor('integer', 'INT64', [2 ** 60])] }))[0]).toBe(
      'INPUT_INVALID',
    );
  });

  it('says of a refused value its row, feature, value, range and unit', () => {
    const input = inputSignature('distance', { range: [0, 3_000], unit: 'mi' });
    const refused = failure(() => decode([input], { inputs: [tensor('distance', 'FP32', [1, 4_000])] }));
    expect(refused).toEqual(['INPUT_INVALID', 'row 1, feature "distance": 4000 is outside 0 to 3000 mi']);
  });

  it('refuses an unknown category of a closed set, a missing value and a missing input', () => {
    const origin = inputSignature('origin', { type: 'category', values: ['SEA', 'BOS'] });
    expect(failure(() => decode([origin], { inputs: [tensor('origin', 'BYTES', ['XXX'])] }))).toEqual([
      'INPUT_INVALID',
      'row 0, feature "origin": "XXX" is no known category ("SEA", "BOS")',
    ]);
    expect(failure(() => decode([origin], { inputs: [tensor('origin', 'BYTES', [null])] }))[0]).toBe('INPUT_INVALID');
    expect(failure(() => decode([origin], { inputs: [tensor('other', 'BYTES', ['SEA'])] }))[0]).toBe('REQUEST_INVALID');
  });

  it('takes an input that may be missing as missing where a caller does not send it', () => {
    const decoded = decode([inputSignature('a'), inputSignature('b', { nullable: true })], {
      inputs: [tensor('a', 'FP32', [1, 2])],
    });
    expect(decoded.columns).toEqual([
      [1, 2],
      [NaN, NaN],
    ]);
  });

  it('imputes or flags by policy, counts both, and leaves the request as it was for the other arm', () => {
    const request = parseInferRequest(JSON.stringify({ inputs: [tensor('a', 'FP32', [1, 99, null])] }), DEFAULT_LIMITS);
    const planOf = (changes: Partial<InputSignature>): InputPlan =>
      new InputPlan(signatureWith([inputSignature('a', { range: [0, 10], ...changes })]), DEFAULT_LIMITS);
    expect(planOf({ onInvalid: 'impute' }).decode(request)).toEqual({
      rows: 3,
      columns: [[1, NaN, NaN]],
      flagged: 0,
      imputed: 2,
    });
    expect(planOf({ onInvalid: 'flag', nullable: true }).decode(request)).toEqual({
      rows: 3,
      columns: [[1, 99, NaN]],
      flagged: 1,
      imputed: 0,
    });
    expect(request.inputs[0]!.data).toEqual([1, 99, null]);
  });

  it('keeps to its limits', () => {
    const limits = { ...DEFAULT_LIMITS, rows: 2, stringLength: 3, inputs: 2, idLength: 4 };
    const read = (body: unknown): unknown =>
      new InputPlan(signatureWith([inputSignature('s', { type: 'category' })]), limits).decode(
        parseInferRequest(JSON.stringify(body), limits),
      );
    const long = [tensor('s', 'BYTES', ['a', 'b', 'c'])];
    for (const body of [
      { inputs: long },
      { inputs: [tensor('s', 'BYTES', ['long'])] },
      { inputs: [...long, ...long, ...long] },
      { id: 'longer', inputs: long },
    ]) {
      expect(failure(() => read(body))[0]).toBe('REQUEST_TOO_LARGE');
    }
  });

  it('answers what is not of the catalogue as INTERNAL with advice', () => {
    const problem = problemOf(new Error('boom'));
    expect([problem.status, JSON.parse(encodeProblem(problem))]).toEqual([
      500,
      { error: 'boom', code: 'INTERNAL', advice: 'This is a defect of Slipway; report it with the message.' },
    ]);
  });
});
