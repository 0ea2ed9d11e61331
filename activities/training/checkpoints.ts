import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Digest } from '../../workflows/domain/digest';
import { SlipwayError } from '../../workflows/domain/errors';
import { keys } from '../../workflows/domain/keys';
import type { RunRequest } from '../../workflows/domain/run';
import { canonicalBytes } from '../../infra/object-store/digest';
import { listAll } from '../../infra/object-store/list-all';
import type { BlobStore, ObjectStore } from '../../infra/object-store/port';

/** Points at a checkpoint's bytes. Each attempt writes under its own name, so that a zombie takes nothing from a live one. */
interface CheckpointPointer {
  readonly schema: 'slipway.checkpoint-pointer/1';
  /** Step cache key of the training it belongs to. */
  readonly training: string;
  readonly epoch: number;
  readonly file: string;
  readonly blob: Digest;
}

export interface CheckpointStore {
  /** Puts the newest checkpoint whose bytes are what they say into the folder. Returns its epoch, 0 where there is none. */
  restore(folder: string): Promise<number>;
  /** Keeps a finished file of the folder. */
  keep(folder: string, file: string, epoch: number): Promise<void>;
}

export function createCheckpointStore(
  ports: { readonly store: ObjectStore; readonly blobs: BlobStore },
  request: RunRequest,
  training: string,
): CheckpointStore {
  const prefix = `${keys.checkpoints(request.model, request.run)}train-`;
  const attempt = randomBytes(6).toString('hex');
  return {
    restore: async (folder) => {
      // Names begin with the padded epoch, so that the last key is the newest.
      const pointers: string[] = [];
      for await (const key of listAll(ports.store, prefix)) pointers.push(key);
      for (const key of pointers.reverse()) {
        const found = await read(ports, key, training);
        if (!found) continue;
        await writeFile(join(folder, basename(found.pointer.file)), found.bytes);
        return found.pointer.epoch;
      }
      return 0;
    },
    keep: async (folder, file, epoch) => {
      const name = basename(file);
      const blob = await ports.blobs.put(await readFile(join(folder, name)));
      const pointer: CheckpointPointer = { schema: 'slipway.checkpoint-pointer/1', training, epoch, file: name, blob };
      await ports.store.create(`${prefix}${String(epoch).padStart(8, '0')}-${attempt}.json`, canonicalBytes(pointer));
    },
  };
}

/** Null for a pointer that is torn or of another training, or whose bytes are lost or changed: an older checkpoint will do. */
async function read(
  ports: { readonly store: ObjectStore; readonly blobs: BlobStore },
  key: string,
  training: string,
): Promise<{ pointer: CheckpointPointer; bytes: Uint8Array } | null> {
  const stored = await ports.store.get(key);
  const pointer = stored && parse(stored);
  if (!pointer || pointer.training !== training) return null;
  try {
    return { pointer, bytes: await ports.blobs.get(pointer.blob) };
  } catch (error) {
    if (error instanceof SlipwayError && ['NOT_FOUND', 'STORE_CORRUPT'].includes(error.code)) return null;
    throw error;
  }
}

function parse(bytes: Uint8Array): CheckpointPointer | null {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as CheckpointPointer;
  } catch {
    return null;
  }
}
