import { randomUUID } from 'node:crypto';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import type { StoreConfig } from '../config/config';
import { assertKey, assertPrefix } from './key-rules';
import type { ObjectStore } from './port';
import { isAbsent, isLostRace } from './s3-errors';
import { defaultRetryPolicy, retry, type RetryPolicy } from './s3-retry';

export type S3StoreConfig = Extract<StoreConfig, { kind: 's3' }>;

export interface S3StoreOptions {
  readonly retry?: RetryPolicy;
  /** Wait for the head of a reply, to which a second is added for each MiB sent. */
  readonly requestTimeoutMs?: number;
}

/** Object metadata that names the one call of `create` which wrote the object. */
const writerMetadata = 'slipway-writer';
const bytesPerSecondFloor = 1 << 20;

/** A client for servers of the S3 kind. Credentials come from the environment, as the AWS SDK reads them. */
export function createS3Client(config: S3StoreConfig, requestTimeoutMs = 10_000): S3Client {
  // A notice about Node versions of 2027 is nothing that whoever runs a worker could act on now.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  return new S3Client({
    region: config.region,
    ...(config.endpoint === null ? {} : { endpoint: config.endpoint }),
    forcePathStyle: true,
    // Retries are ours: `create` has to know whether a write of its own may have happened.
    maxAttempts: 1,
    requestHandler: {
      connectionTimeout: 2_000,
      requestTimeout: requestTimeoutMs,
      throwOnRequestTimeout: true,
      socketTimeout: requestTimeoutMs,
    },
  });
}

/**
 * Object store on S3 or a server that speaks it with conditional puts (`If-None-Match: *`). Unanswered, throttled and 5xx
 * requests are tried again a bounded number of times, then STORE_UNAVAILABLE.
 *
 * `create` after a lost reply: every call stores a nonce of its own with the object. When a later attempt is told that
 * something is there, the nonce read back says exactly whether it is ours, also where others wrote equal bytes. When the
 * attempts run out, STORE_UNAVAILABLE means "unknown": the caller reads the key and compares.
 */
export function createS3Store(config: S3StoreConfig, options: S3StoreOptions = {}): ObjectStore {
  const requestTimeoutMs = options.requestTimeoutMs ?? 10_000;
  const client = createS3Client(config, requestTimeoutMs);
  const policy = options.retry ?? defaultRetryPolicy;
  const base = config.prefix === '' ? '' : `${config.prefix}/`;
  const at = (key: string): { Bucket: string; Key: string } => {
    assertKey(key);
    return { Bucket: config.bucket, Key: base + key };
  };
  const send = { client, policy, requestTimeoutMs };
  return {
    get: async (key) => getObject(send, at(key)),
    range: async (key, start, length) => getRange(send, at(key), start, length),
    list: async (prefix, { after, limit = 1000 } = {}) => {
      assertPrefix(prefix);
      return listObjects(send, { bucket: config.bucket, base, prefix, after, limit });
    },
    create: async (key, bytes) => createObject(send, at(key), bytes),
    put: async (key, bytes) => {
      const target = at(key);
      await retry(policy, () => client.send(new PutObjectCommand({ ...target, Body: bytes }), timeoutFor(send, bytes)));
    },
    delete: async (key) => {
      const target = at(key);
      await retry(policy, () => client.send(new DeleteObjectCommand(target)));
    },
  };
}

interface Sender {
  readonly client: S3Client;
  readonly policy: RetryPolicy;
  readonly requestTimeoutMs: number;
}

interface Target {
  readonly Bucket: string;
  readonly Key: string;
}

function timeoutFor(send: Sender, bytes: Uint8Array): { requestTimeout: number } {
  return { requestTimeout: send.requestTimeoutMs + Math.ceil((bytes.length / bytesPerSecondFloor) * 1000) };
}

async function createObject(send: Sender, target: Target, bytes: Uint8Array): Promise<boolean> {
  const nonce = randomUUID();
  let mayBeOurs = false;
  const put = (): Promise<unknown> =>
    send.client.send(
      new PutObjectCommand({ ...target, Body: bytes, IfNoneMatch: '*', Metadata: { [writerMetadata]: nonce } }),
      timeoutFor(send, bytes),
    );
  return retry(send.policy, async () => {
    try {
      await put();
      return true;
    } catch (error) {
      if (isLostRace(error)) return mayBeOurs && (await writerOf(send, target)) === nonce;
      mayBeOurs = true;
      throw error;
    }
  });
}

async function writerOf(send: Sender, target: Target): Promise<string | undefined> {
  const head = await retry(send.policy, () => send.client.send(new HeadObjectCommand(target)));
  return head.Metadata?.[writerMetadata];
}

async function getObject(send: Sender, target: Target, range?: string): Promise<Uint8Array | null> {
  return retry(send.policy, async () => {
    try {
      const reply = await send.client.send(new GetObjectCommand({ ...target, ...(range ? { Range: range } : {}) }));
      return (await reply.Body?.transformToByteArray()) ?? new Uint8Array(0);
    } catch (error) {
      if (isAbsent(error)) return null;
      throw error;
    }
  });
}

/** S3 refuses ranges that are empty or begin past the end (416); the port gives no bytes there. */
async function getRange(send: Sender, target: Target, start: number, length: number): Promise<Uint8Array | null> {
  const size = await sizeOf(send, target);
  if (size === null) return null;
  const end = Math.min(start + length, size);
  if (end <= start) return new Uint8Array(0);
  return getObject(send, target, `bytes=${start}-${end - 1}`);
}

async function sizeOf(send: Sender, target: Target): Promise<number | null> {
  return retry(send.policy, async () => {
    try {
      return (await send.client.send(new HeadObjectCommand(target))).ContentLength ?? 0;
    } catch (error) {
      if (isAbsent(error)) return null;
      throw error;
    }
  });
}

interface Listing {
  readonly bucket: string;
  readonly base: string;
  readonly prefix: string;
  readonly after: string | undefined;
  readonly limit: number;
}

async function listObjects(send: Sender, listing: Listing): Promise<string[]> {
  const found: string[] = [];
  let after = listing.after;
  while (found.length < listing.limit) {
    const page = await listPage(send, { ...listing, after, limit: Math.min(1000, listing.limit - found.length) });
    found.push(...page.keys);
    after = page.keys.at(-1);
    if (!page.more || after === undefined) break;
  }
  return found;
}

async function listPage(send: Sender, listing: Listing): Promise<{ keys: string[]; more: boolean }> {
  const reply = await retry(send.policy, () =>
    send.client.send(
      new ListObjectsV2Command({
        Bucket: listing.bucket,
        Prefix: listing.base + listing.prefix,
        MaxKeys: listing.limit,
        ...(listing.after === undefined ? {} : { StartAfter: listing.base + listing.after }),
      }),
    ),
  );
  const keys = (reply.Contents ?? []).flatMap(({ Key }) => (Key === undefined ? [] : [Key.slice(listing.base.length)]));
  return { keys, more: reply.IsTruncated === true };
}
