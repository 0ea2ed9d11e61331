import type { IncomingHttpHeaders } from 'node:http';
import type { ZlibOptions } from 'node:zlib';
import { gunzip, gzip, inflate, inflateRaw } from 'node:zlib';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { RequestLimits } from '../inference/protocol';
import { invalid, quote, tooLarge } from '../inference/protocol';

/** How a body is compressed; null for not at all. */
export type Compression = 'gzip' | 'deflate' | null;

/** A small body may decompress to so much whatever the ratio. */
const ALWAYS_ALLOWED_BYTES = 262_144;

const JSON_TYPES: ReadonlySet<string> = new Set([
  'application/json',
  'application/octet-stream',
  // What curl sends with --data, and fetch with a string.
  'application/x-www-form-urlencoded',
  'text/plain',
]);

/**
 * Whether a body of this Content-Type can be read: JSON by any of the names that clients give it without being told, or binary
 * tensors; UTF-8. No Content-Type is taken as JSON. Throws UNSUPPORTED_MEDIA.
 */
export function checkContentType(type: string | undefined): void {
  if (type === undefined || type === 'application/json' || type === 'application/octet-stream') return;
  const [essence = '', ...parameters] = type
    .toLowerCase()
    .split(';')
    .map((part) => part.trim());
  if (essence !== '' && !JSON_TYPES.has(essence) && !essence.endsWith('+json'))
    throw new SlipwayError('UNSUPPORTED_MEDIA', `a body of type ${quote(essence)} cannot be read`);
  const charset = parameters.find((parameter) => parameter.startsWith('charset='));
  if (charset !== undefined && !/^charset="?(utf-?8|us-ascii)"?$/.test(charset))
    throw new SlipwayError('UNSUPPORTED_MEDIA', `${quote(charset)} is not read; UTF-8 is`);
}

/** Throws UNSUPPORTED_MEDIA for another compression, or several. */
export function compressionOf(encoding: string | undefined): Compression {
  if (encoding === undefined) return null;
  switch (encoding.trim().toLowerCase()) {
    case 'gzip':
    case 'x-gzip':
      return 'gzip';
    case 'deflate':
      return 'deflate';
    case '':
    case 'identity':
      return null;
    default:
      throw new SlipwayError('UNSUPPORTED_MEDIA', `content encoding ${quote(encoding)} is not read`);
  }
}

/**
 * Decompresses off this thread, and stops as soon as the output passes the limit of bodies or of the ratio. The error is
 * REQUEST_TOO_LARGE or REQUEST_INVALID.
 */
export function decompress(
  bytes: Buffer,
  compression: 'gzip' | 'deflate',
  limits: Pick<RequestLimits, 'bodyBytes' | 'compressionRatio'>,
  done: (error: SlipwayError | null, bytes: Buffer) => void,
): void {
  const byRatio = Math.max(ALWAYS_ALLOWED_BYTES, bytes.length * limits.compressionRatio);
  const maxOutputLength = Math.min(limits.bodyBytes, byRatio);
  unpackerOf(bytes, compression)(bytes, { maxOutputLength }, (error, unpacked) => {
    if (error === null) done(null, unpacked);
    else if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
      done(tooLarge(`the body decompresses to more than ${maxOutputLength} bytes`), bytes);
    else done(invalid(`the body is not whole ${compression}: ${error.message.slice(0, 80)}`), bytes);
  });
}

type Unpack = (bytes: Buffer, options: ZlibOptions, done: (error: Error | null, bytes: Buffer) => void) => void;

/** `deflate` means zlib's format (RFC 9110), but some clients send it bare: its first byte tells. */
function unpackerOf(bytes: Buffer, compression: 'gzip' | 'deflate'): Unpack {
  if (compression === 'gzip') return gunzip;
  return (bytes[0]! & 0x0f) === 8 ? inflate : inflateRaw;
}

/** Answers from this size on are compressed for who takes gzip; below it the time costs more than the bytes. */
export const COMPRESSED_FROM_BYTES = 32_768;
const FASTEST = 1;

/** Whether the caller takes gzip (RFC 9110, 12.5.3). */
export function takesGzip({ 'accept-encoding': accepted }: IncomingHttpHeaders): boolean {
  const text = typeof accepted === 'string' ? accepted : '';
  return /(^|[,\s])(x-)?gzip\s*(;\s*q\s*=\s*(?!0(\.0*)?\s*(,|$))|,|$)/i.test(text);
}

/** Null where it fails: the answer goes as it is. */
export function compress(bytes: Buffer, done: (compressed: Buffer | null) => void): void {
  gzip(bytes, { level: FASTEST }, (error, compressed) => done(error === null ? compressed : null));
}
