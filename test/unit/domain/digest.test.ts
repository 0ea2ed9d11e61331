import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { canonicalBytes, digestOf, digestOfFile, digestOfJson } from '../../../infra/object-store/digest';
import { canonicalJson, isDigest } from '../../../workflows/domain/digest';
import { temporaryFolder } from '../../support/temporary-folder';

/** The same value with the keys of every object in another order. */
function shuffled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shuffled);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, item]) => [key, shuffled(item)]),
  );
}

/** Without __proto__, which JSON.parse and object literals treat differently, and -0, which JSON writes as 0. */
const json = fc.jsonValue({ noUnicodeString: false }).filter((value) => !JSON.stringify(value).includes('__proto__'));

describe('canonical JSON', () => {
  it('is JSON that means the same value', () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it('does not depend on the order of keys', () => {
    fc.assert(fc.property(json, (value) => canonicalJson(shuffled(value)) === canonicalJson(value)));
  });

  it('is a fixed point: reading and writing it again gives the same text', () => {
    fc.assert(fc.property(json, (value) => canonicalJson(JSON.parse(canonicalJson(value))) === canonicalJson(value)));
  });

  it('writes the example of RFC 8785, section 3.2.3: keys sorted by UTF-16 units', () => {
    const value = { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\u{1f600}': 5, '\u0080': 6, '\u00f6': 7 };

    expect(canonicalJson(value)).toBe('{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\u{1f600}":5,"\ufb33":3}');
  });

  it('writes the numbers of RFC 8785, appendix B', () => {
    expect(canonicalJson([333333333.33333329, 1e30, 4.5, 2e-3, 1e-27, -0, 1e21, 5e-324])).toBe(
      '[333333333.3333333,1e+30,4.5,0.002,1e-27,0,1e+21,5e-324]',
    );
  });

  it('leaves out properties that are undefined, and makes an undefined item null', () => {
    expect(canonicalJson({ b: undefined, a: [undefined, 1] })).toBe('{"a":[null,1]}');
  });

  it.each([
    [Number.NaN],
    [Number.POSITIVE_INFINITY],
    [{ deep: [Number.NEGATIVE_INFINITY] }],
    [10n],
    [() => 1],
    [Symbol('s')],
    [undefined],
  ])('refuses %p, which JSON cannot hold', (value) => {
    expect(() => canonicalJson(value)).toThrow(TypeError);
  });
});

describe('digests', () => {
  it('of the empty text is the one known everywhere', () => {
    expect(digestOf(new Uint8Array(0))).toBe('sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  });

  it('of a document is of its canonical UTF-8 bytes', () => {
    const value = { b: 'é', a: 1 };

    expect(Buffer.from(canonicalBytes(value)).toString('utf8')).toBe('{"a":1,"b":"é"}');
    expect(digestOfJson(value)).toBe(`sha256:${createHash('sha256').update('{"a":1,"b":"é"}', 'utf8').digest('hex')}`);
  });

  it('of a file is of its bytes', async () => {
    const folder = temporaryFolder('digest');
    const bytes = Buffer.alloc(3 << 20, 5);
    writeFileSync(join(folder.path, 'f'), bytes);

    expect(await digestOfFile(join(folder.path, 'f'))).toBe(digestOf(bytes));
    folder.remove();
  });

  it('are told from other text', () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => isDigest(digestOf(bytes))));
    for (const other of [
      'sha256:',
      'sha256:E3B0',
      `sha256:${'A'.repeat(64)}`,
      `md5:${'a'.repeat(64)}`,
      `sha256:${'a'.repeat(65)}`,
      null,
      7,
    ]) {
      expect(isDigest(other)).toBe(false);
    }
  });
});
