import fc from 'fast-check';
import type { EncodedCall } from '../../../infra/endpoints/codec';
import type { Values } from '../../../infra/endpoints/columns';
import { createCodec } from '../../../infra/endpoints/create-codec';
import { type EndpointDescriptor, parseEndpoint } from '../../../infra/endpoints/descriptor';
import type { InputSignature } from '../../../workflows/domain/release';
import { parseHttpRequest } from '../../../workers/gateway/http/binary-request';
import { encodeTensor } from '../../../workers/gateway/http/binary-tensors';
import { MISSING_INT64 } from '../../../workers/gateway/inference/conversion';
import { InputPlan } from '../../../workers/gateway/inference/input-plan';
import { DEFAULT_LIMITS } from '../../../workers/gateway/inference/protocol';
import { inputSignature, signatureWith } from '../../integration/gateway/models';

const INPUTS = [
  inputSignature('amount', { nullable: true }),
  inputSignature('count', { type: 'integer', nullable: true }),
  inputSignature('at', { type: 'timestamp', nullable: true }),
  inputSignature('city', { type: 'category', nullable: true }),
  inputSignature('member', { type: 'boolean' }),
];

/** JSON has no negative zero. */
const float = fc.float({ noDefaultInfinity: true, noNaN: true }).map((value) => value + 0);
const VALUE_OF: Readonly<Record<InputSignature['type'], fc.Arbitrary<number | string>>> = {
  number: fc.oneof({ weight: 4, arbitrary: float }, { weight: 1, arbitrary: fc.constant(NaN) }),
  integer: fc.oneof(fc.maxSafeInteger(), fc.constant(MISSING_INT64)),
  timestamp: fc.oneof(fc.integer({ min: -8.64e15, max: 8.64e15 }), fc.constant(MISSING_INT64)),
  category: fc.string({ unit: 'grapheme', maxLength: 12 }),
  boolean: fc.constantFrom(0, 1),
};

/** Columns of the inputs, one value a row. */
function columnsOf(inputs: readonly InputSignature[], maxRows = 20): fc.Arbitrary<(number | string)[][]> {
  return fc
    .integer({ min: 1, max: maxRows })
    .chain((rows) =>
      fc.tuple(...inputs.map(({ type }) => fc.array(VALUE_OF[type], { minLength: rows, maxLength: rows }))),
    );
}

const descriptor = (text: string): EndpointDescriptor => parseEndpoint(`endpoint: e\n${text}`, 'endpoint.yaml');
const v2 = (more: string): EndpointDescriptor => descriptor(`protocol: v2\nmodel: m\noutput: score\n${more}`);
const json = (more: string): EndpointDescriptor => descriptor(`protocol: json\npath: /p\n${more}`);

/** What a gateway of ours reads out of a call. */
function received({ headers, body }: EncodedCall, inputs: readonly InputSignature[]): readonly Values[] {
  const request = parseHttpRequest(body, headers['inference-header-content-length'], DEFAULT_LIMITS);
  return new InputPlan(signatureWith(inputs), DEFAULT_LIMITS).decode(request).columns.map((column) => [...column]);
}

describe('V2 requests', () => {
  it.each(['binary: true', 'binary: false'])('are read by a gateway as what was sent, row for row (%s)', (form) => {
    const codec = createCodec(v2(`missing: null\n${form}`), signatureWith(INPUTS));
    fc.assert(
      fc.property(columnsOf(INPUTS), fc.nat(), (columns, cut) => {
        const rows = columns[0]!.length;
        const from = cut % rows;
        codec.check(columns, rows);
        const own = columns.map((column) => column.slice(from));
        expect(received(codec.encode(columns, from, rows), INPUTS)).toEqual(own);
      }),
    );
  });

  it('carry a matrix row by row', () => {
    const inputs = [INPUTS[0]!, inputSignature('member', { type: 'boolean' }), inputSignature('b')];
    const codec = createCodec(v2('form: matrix\ninput: x'), signatureWith(inputs));
    fc.assert(
      fc.property(columnsOf(inputs), (columns) => {
        const { headers, body } = codec.encode(columns, 0, columns[0]!.length);
        const [matrix] = parseHttpRequest(body, headers['inference-header-content-length'], DEFAULT_LIMITS).inputs;
        expect(matrix).toMatchObject({ name: 'x', datatype: 'FP32', shape: [columns[0]!.length, 3] });
        const expected = columns[0]!.flatMap((_, row) => columns.map((column) => column[row]!));
        expect([...(matrix!.data as Float32Array)]).toEqual(expected);
      }),
    );
  });

  it('refuse a missing value that cannot be told from another', () => {
    const columns = (amount: number, count: number): Values[] => [[amount], [count], [1], ['a'], [1]];
    const binary = createCodec(v2(''), signatureWith(INPUTS));
    const plain = createCodec(v2('binary: false'), signatureWith(INPUTS));
    expect(() => binary.check(columns(NaN, 1), 1)).not.toThrow();
    expect(() => binary.check(columns(1, MISSING_INT64), 1)).toThrow('row 0, feature "count"');
    expect(() => plain.check(columns(NaN, 1), 1)).toThrow('row 0, feature "amount"');
    expect(() => createCodec(v2('form: matrix\ninput: x'), signatureWith(INPUTS))).toThrow('at (timestamp)');
  });
});

describe('V2 answers', () => {
  const scores = fc.array(float, { minLength: 1, maxLength: 30 });

  it.each(['FP32', 'FP64'])('give the named column, from bytes and from JSON (%s)', (datatype) => {
    fc.assert(
      fc.property(scores, fc.integer({ min: 1, max: 4 }), fc.nat(), fc.boolean(), (column, width, at, isNested) => {
        const codec = createCodec(v2(`column: ${at % width}`), signatureWith(INPUTS));
        const rows = column.map((score) =>
          Array.from({ length: width }, (_, own) => (own === at % width ? score : -1)),
        );
        const shape = [column.length, width];
        const text = JSON.stringify({
          outputs: [{ name: 'score', datatype, shape, data: isNested ? rows : rows.flat() }],
        });
        const fromJson = codec.decode({ body: Buffer.from(text), jsonBytes: null }, column.length);
        const typed = datatype === 'FP32' ? Float32Array.from(rows.flat()) : Float64Array.from(rows.flat());
        const bytes = Buffer.from(encodeTensor(datatype, typed));
        const other = { name: 'other', datatype: 'BOOL', shape: [3], parameters: { binary_data_size: 3 } };
        const output = { name: 'score', datatype, shape, parameters: { binary_data_size: bytes.length } };
        const header = Buffer.from(JSON.stringify({ outputs: [other, output] }));
        const body = Buffer.concat([header, Buffer.alloc(3), bytes]);
        const fromBytes = codec.decode({ body, jsonBytes: String(header.length) }, column.length);
        expect([...fromJson]).toEqual(column);
        expect([...fromBytes]).toEqual(column);
      }),
    );
  });

  it('of any other form are refused, without a word of what is in them', () => {
    const codec = createCodec(v2(''), signatureWith(INPUTS));
    const refusal = (body: unknown, jsonBytes: string | null = null): string => {
      const text = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
      try {
        codec.decode({ body: text, jsonBytes }, 2);
      } catch (error) {
        expect(error).toMatchObject({ code: 'ENDPOINT_ANSWER_INVALID' });
        return (error as Error).message;
      }
      throw new Error('it was taken');
    };
    const output = { name: 'score', datatype: 'FP32', shape: [2, 1], data: [1, 2] };
    expect(refusal(Buffer.from('<html>secret</html>'))).toBe('expected JSON; found 19 bytes of something else');
    expect(refusal({ outputs: [{ ...output, shape: [3, 1] }] })).toBe(
      'expected numbers of shape [2] or [2, 1]; found FP32 of shape [3, 1]',
    );
    expect(refusal({ outputs: [{ ...output, shape: [2, 2], data: [1, 2, 3, 4] }] })).toBe(
      'expected numbers of shape [2] or [2, 1]; found FP32 of shape [2, 2]; say in endpoint.yaml which `column` is the score',
    );
    expect(refusal({ outputs: [{ ...output, data: [1] }] })).toBe('expected 2 values; found a list of 1 (a number)');
    expect(refusal({ outputs: [{ ...output, data: [1, 'secret'] }] })).toBe('row 1: expected a number; found text');
    expect(refusal({ outputs: [{ ...output, name: 'secret' }] })).not.toContain('secret');
    expect(refusal({ outputs: [output] }, '999')).toContain('no length of this answer');
    expect(refusal({ outputs: [{ ...output, parameters: { binary_data_size: 8 } }] })).toContain('found 0');
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
        expect(() => codec.decode({ body: Buffer.from(text), jsonBytes: null }, 2)).toThrow(
          expect.objectContaining({ code: 'ENDPOINT_ANSWER_INVALID' }) as Error,
        );
      }),
    );
  });
});

describe('plain JSON', () => {
  const missing = (value: number | string): boolean => value === '' || value === MISSING_INT64 || Number.isNaN(value);

  it('has each row as an object, under the names and the pointer of the descriptor', () => {
    const text = 'request: { rows: /a~1b/0, missing: omit, rename: { city: place }, timestamp: iso }';
    const codec = createCodec(json(text), signatureWith(INPUTS));
    fc.assert(
      fc.property(columnsOf(INPUTS), (columns) => {
        const sent = JSON.parse(codec.encode(columns, 0, columns[0]!.length).body.toString()) as {
          'a/b': { 0: Record<string, unknown>[] };
        };
        const [amount, count, at, city, member] = columns as [number[], number[], number[], string[], number[]];
        sent['a/b'][0].forEach((row, index) => {
          expect(row).toEqual({
            ...(missing(amount[index]!) ? {} : { amount: amount[index] }),
            ...(missing(count[index]!) ? {} : { count: count[index] }),
            ...(missing(at[index]!) ? {} : { at: new Date(at[index]!).toISOString() }),
            ...(missing(city[index]!) ? {} : { place: city[index] }),
            member: member[index] === 1,
          });
        });
        expect(sent['a/b'][0]).toHaveLength(columns[0]!.length);
      }),
    );
  });

  it('has lists in the order of the signature, and one row alone where the service takes no more', () => {
    const two = signatureWith([inputSignature('a', { nullable: true }), inputSignature('b')]);
    const columns = [
      [1, NaN],
      [3, 0.1],
    ];
    const bodyOf = (text: string, to: number): unknown =>
      JSON.parse(createCodec(json(text), two).encode(columns, 0, to).body.toString());
    expect(bodyOf("request: { form: lists, rows: '', missing: null }", 2)).toEqual([
      [1, 3],
      [null, Math.fround(0.1)],
    ]);
    expect(bodyOf("maxRows: 1\nrequest: { form: single, rows: '' }", 1)).toEqual({ a: 1, b: 3 });
  });

  it.each([
    ['', { predictions: [0.25, 0.5] }, [0.25, 0.5]],
    [
      'answer: { column: 1 }',
      {
        predictions: [
          [0.75, 0.25],
          [0.5, 0.5],
        ],
      },
      [0.25, 0.5],
    ],
    ["answer: { scores: '', column: probability }", [{ probability: 0.25 }, { probability: 0.5 }], [0.25, 0.5]],
    ['answer: { scores: /a/0, transform: complement }', { a: [[0.25, 0.5]] }, [0.75, 0.5]],
    ['answer: { transform: sigmoid }', { predictions: [0, Math.log(3)] }, [0.5, 0.75]],
  ])('finds the scores by pointer, column and transform: %s', (text, body, expected) => {
    const codec = createCodec(json(text), signatureWith(INPUTS));
    expect([...codec.decode({ body: Buffer.from(JSON.stringify(body)), jsonBytes: null }, 2)]).toEqual(expected);
  });

  it('takes a score without a list around it for one row, and says what else it found', () => {
    const codec = createCodec(json('answer: { scores: /p }'), signatureWith(INPUTS));
    const decode = (body: unknown, rows: number): Float32Array =>
      codec.decode({ body: Buffer.from(JSON.stringify(body)), jsonBytes: null }, rows);
    expect([...decode({ p: 0.5 }, 1)]).toEqual([0.5]);
    expect(() => decode({ p: 0.5 }, 2)).toThrow('/p: expected a list of 2; found a number');
    expect(() => decode({ q: [1, 2] }, 2)).toThrow('/p: expected a list of 2; found nothing');
    expect(() => decode({ p: [[1], [2]] }, 2)).toThrow('row 0: expected a number; found a list of 1 (a number)');
    expect(() => decode({ p: [1, null] }, 2)).toThrow('row 1: expected a number; found null');
  });

  it.each([json('request: { missing: null }'), v2('missing: null\nbinary: false')])(
    'takes no number that it cannot say (%#)',
    (endpoint) => {
      const codec = createCodec(endpoint, signatureWith([INPUTS[0]!]));
      for (const value of [Infinity, -Infinity, 1e300])
        expect(() => codec.check([[1, value]], 2)).toThrow('row 1, feature "amount": the value is not finite');
      expect(() => codec.check([[1, NaN]], 2)).not.toThrow();
    },
  );

  it('takes no score that was infinite before its transform', () => {
    const codec = createCodec(json('answer: { transform: sigmoid }'), signatureWith(INPUTS));
    const body = Buffer.from('{"predictions": [1e999]}');
    expect(() => codec.decode({ body, jsonBytes: null }, 1)).toThrow('row 0: the score is not finite');
  });

  it('refuses to rename what is no feature', () => {
    expect(() => createCodec(json('request: { rename: { town: place } }'), signatureWith(INPUTS))).toThrow(
      'request.rename: town is no feature of the model',
    );
  });
});
