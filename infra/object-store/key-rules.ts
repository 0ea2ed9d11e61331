import { SlipwayError } from '../../workflows/domain/errors';

/** S3 allows 1,024 bytes for prefix and key together; the rest is left for the prefix. */
const maxKeyBytes = 768;
/** The longest file name of the usual file systems. */
const maxSegmentBytes = 255;
/** Where the file-system store keeps unfinished objects; no key may begin with it. */
export const TEMPORARY_FOLDER = '.tmp';

const controlCharacters = /[\u0000-\u001f\u007f\\]/;

/**
 * Refuses keys that mean different things to a file system and to S3, or that would leave the store's folder:
 * absolute ones, empty, `.` and `..` segments, control characters, back-slashes, unpaired surrogates, over-long ones.
 * Throws SlipwayError INTERNAL, since keys are made by code and never by callers.
 */
export function assertKey(key: string): void {
  const problem = keyProblem(key);
  if (problem) throw new SlipwayError('INTERNAL', `object key ${JSON.stringify(key)} ${problem}`);
}

function keyProblem(key: string): string | undefined {
  if (controlCharacters.test(key)) return 'has a control character or a back-slash';
  const bytes = Buffer.from(key, 'utf8');
  if (bytes.toString('utf8') !== key) return 'is not well-formed Unicode';
  if (bytes.length > maxKeyBytes) return `is longer than ${maxKeyBytes} bytes`;
  const segments = key.split('/');
  if (segments[0] === TEMPORARY_FOLDER) return `begins with ${TEMPORARY_FOLDER}, where unfinished objects are kept`;
  for (const segment of segments) {
    if (segment === '') return 'has an empty segment';
    if (segment === '.' || segment === '..') return `has the segment ${segment}`;
    if (Buffer.byteLength(segment) > maxSegmentBytes) return `has a segment longer than ${maxSegmentBytes} bytes`;
  }
  return undefined;
}

/** Refuses prefixes that no key can have. The last segment may be empty or unfinished. */
export function assertPrefix(prefix: string): void {
  if (prefix === '') return;
  assertKey(prefix.endsWith('/') ? prefix.slice(0, -1) : prefix);
}

/** Order of keys by UTF-8 bytes, which differs from JavaScript's order of UTF-16 units beyond U+FFFF. */
export function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a, 'utf8'), Buffer.from(b, 'utf8'));
}
