import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { canonicalJson, type Digest } from '../../workflows/domain/digest';

/** UTF-8 bytes of the canonical JSON: what documents are digested and signed as. */
export function canonicalBytes(value: unknown): Uint8Array {
  return Buffer.from(canonicalJson(value), 'utf8');
}

/** SHA-256 of the bytes as they are. */
export function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** SHA-256 of the canonical JSON of a value. */
export function digestOfJson(value: unknown): Digest {
  return digestOf(canonicalBytes(value));
}

/** SHA-256 of a file, read as a stream; rejects with the error of node:fs where it cannot be read. */
export async function digestOfFile(path: string): Promise<Digest> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return `sha256:${hash.digest('hex')}`;
}
