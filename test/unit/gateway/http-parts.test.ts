import fc from 'fast-check';
import { SlipwayError } from '../../../workflows/domain/errors';
import { parseHttpRequest } from '../../../workers/gateway/http/binary-request';
import { takesGzip } from '../../../workers/gateway/http/body-encoding';
import { checkJsonBounds, SCANNED_FROM_BYTES } from '../../../workers/gateway/http/json-bounds';
import { parsePath, Paths } from '../../../workers/gateway/http/paths';
import { DEFAULT_LIMITS } from '../../../workers/gateway/inference/protocol';

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof SlipwayError) return error.code;
    throw error;
  }
  return 'ok';
}

/** Depth of what was parsed. */
function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

const padded = (text: string): Buffer => Buffer.from(text.padEnd(SCANNED_FROM_BYTES, ' '));

describe('the bounds of a JSON body', () => {
  it('are the depth that the parser finds, whatever is in strings', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.integer({ min: 0, max: 6 }), (value, nesting) => {
        const code = codeOf(() => checkJsonBounds(padded(JSON.stringify(value)), { nesting, elements: 1_000_000 }));
        expect(code).toBe(depthOf(value) > nesting ? 'REQUEST_TOO_LARGE' : 'ok');
      }),
    );
  });

  it('count values, not commas and brackets of text', () => {
    const limits = { nesting: 4, elements: 3 };
    expect(codeOf(() => checkJsonBounds(padded('[1,2,3]'), limits))).toBe('ok');
    expect(codeOf(() => checkJsonBounds(padded('["a,b,c\\",[[[[["]'), limits))).toBe('ok');
    expect(codeOf(() => checkJsonBounds(padded('[1,2,3,4]'), limits))).toBe('REQUEST_TOO_LARGE');
  });

  it('end at the end of a text that is cut anywhere', () => {
    const text = padded('{"a":["x\\\\",[1,2]],"b":"\\"');
    for (let end = 0; end <= 30; end += 1)
      expect(
        codeOf(() => checkJsonBounds(Buffer.concat([text.subarray(30), text.subarray(0, end)]), DEFAULT_LIMITS)),
      ).toBe('ok');
  });
});

describe('a binary request', () => {
  it('of any bytes and any header length is read within its bounds or refused', () => {
    const head = fc.oneof(
      fc.string(),
      fc.jsonValue().map((value) => JSON.stringify(value)),
      fc
        .record({
          name: fc.constantFrom('a', 'b'),
          datatype: fc.constantFrom('FP32', 'INT64', 'BYTES', 'BOOL', 'FP16'),
          shape: fc.array(fc.oneof(fc.nat({ max: 4 }), fc.constant(2 ** 50), fc.double()), { maxLength: 2 }),
          parameters: fc.record({ binary_data_size: fc.oneof(fc.nat({ max: 40 }), fc.double(), fc.string()) }),
        })
        .map((tensor) => JSON.stringify({ inputs: [tensor] })),
    );
    fc.assert(
      fc.property(
        head,
        fc.uint8Array({ maxLength: 40 }),
        fc.integer({ min: -2, max: 2 }),
        fc.nat({ max: 7 }),
        (text, tail, error, offset) => {
          const json = Buffer.from(text);
          const whole = Buffer.alloc(offset + json.length + tail.length);
          json.copy(whole, offset);
          whole.set(tail, offset + json.length);
          const code = codeOf(() =>
            parseHttpRequest(whole.subarray(offset), String(json.length + error), DEFAULT_LIMITS),
          );
          expect(['ok', 'REQUEST_INVALID', 'REQUEST_TOO_LARGE']).toContain(code);
        },
      ),
      { numRuns: 3_000 },
    );
  });
});

describe('Accept-Encoding', () => {
  it.each([
    ['gzip', true],
    ['GZIP', true],
    ['deflate, gzip;q=0.8', true],
    ['gzip; q=1.0', true],
    ['gzip;q=0', false],
    ['gzip;q=0.000, br', false],
    ['gzip;q=0.001', true],
    ['br', false],
    ['notgzip', false],
    ['', false],
  ])('%j: %s', (accepted, expected) => {
    expect(takesGzip({ 'accept-encoding': accepted })).toBe(expected);
  });
});

describe('paths', () => {
  it.each([
    ['/v2/models/a/b/infer?x=1', { kind: 'infer', model: 'a/b', version: null }],
    ['/v2/models/a%2Fb/versions/3/infer', { kind: 'infer', model: 'a/b', version: '3' }],
    ['/v1/models/a%2fb:predict', { kind: 'predict', model: 'a/b', version: null }],
    ['/v1/models/a/b%3Apredict', { kind: 'predict', model: 'a/b', version: null }],
    ['/v1/models/a/b', { kind: 'v1-model', model: 'a/b', version: null }],
    ['/v1/models/a/b:explain', null],
    ['/v2/models/a/b/c/d', null],
    ['/constructor', null],
  ])('%s', (url, expected) => {
    expect(parsePath(url)).toEqual(expected);
  });

  it('are remembered and stay the same, however many are asked for', () => {
    const paths = new Paths();
    const first = paths.find('/v2/models/a/b');
    expect(paths.find('/v2/models/a/b')).toBe(first);
    for (let at = 0; at < 3_000; at += 1) paths.find(`/v2/models/a/m${at}`);
    expect(paths.find('/v2/models/a/b')).toEqual(first);
    expect((paths as unknown as { known: Map<string, unknown> }).known.size).toBeLessThanOrEqual(1_024);
  });
});
