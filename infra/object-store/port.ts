import type { Digest } from '../../workflows/domain/digest';

/**
 * The truth about what exists and what happened. `create` is the only concurrency control; `put` is for hints and for keys
 * with a single writer. Every method throws SlipwayError: STORE_UNAVAILABLE (retryable), STORE_FULL; nothing is half written.
 */
export interface ObjectStore {
  /** Whole object; null where there is none. */
  get(key: string): Promise<Uint8Array | null>;
  /** Bytes [start, start + length), shorter at the end of the object; null where there is none. */
  range(key: string, start: number, length: number): Promise<Uint8Array | null>;
  /** Keys below the prefix, ascending by UTF-8 bytes, strictly after `after`, at most `limit` (default 1,000). */
  list(prefix: string, options?: { after?: string; limit?: number }): Promise<string[]>;
  /** Writes only where nothing is. False: somebody else's object is there. A retry of our own lost reply is the caller's to recognise. */
  create(key: string, bytes: Uint8Array): Promise<boolean>;
  /** Replaces atomically: a reader sees the old or the new bytes. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** No error where there is none. */
  delete(key: string): Promise<void>;
}

/** Content-addressed bytes over an object store; every read is verified (STORE_CORRUPT). */
export interface BlobStore {
  put(bytes: Uint8Array): Promise<Digest>;
  putFile(path: string): Promise<Digest>;
  /** Canonical JSON. */
  putJson(value: unknown): Promise<Digest>;
  get(digest: Digest): Promise<Uint8Array>;
  getJson<T>(digest: Digest): Promise<T>;
  /** A local, read-only, verified file with these bytes, for programs that need a path (cached). */
  file(digest: Digest): Promise<string>;
}
