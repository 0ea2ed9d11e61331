import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createTrainingActivities } from '../../../activities/training/create-training-activities';
import { createBlobStore } from '../../../infra/object-store/blobs';
import type { ObjectStore } from '../../../infra/object-store/port';
import { openStore } from '../../../infra/object-store/open-store';
import type { IngestResult, RunRequest } from '../../../workflows/domain/run';

/**
 * Stands in for a worker that may be killed: trains what `run.json` of a folder says, and prints the result. With `heldAt` the checkpoint of
 * that epoch is never kept, nor a later one, so that a kill meets it in the middle however quick the training is.
 */
async function main(folder: string, heldAt: number): Promise<void> {
  const input = JSON.parse(readFileSync(join(folder, 'run.json'), 'utf8')) as {
    request: RunRequest;
    ingest: IngestResult;
  };
  const store = heldStore(openStore({ kind: 'fs', root: join(folder, 'store') }), heldAt);
  const blobs = createBlobStore(store, join(folder, 'cache'));
  const result = await createTrainingActivities({ store, blobs, workFolder: join(folder, 'work') }).train(input);
  process.stdout.write(JSON.stringify(result));
}

function heldStore(store: ObjectStore, heldAt: number): ObjectStore {
  return {
    ...store,
    create: (key, bytes) => {
      const epoch = Number(/\/train-(\d+)-/.exec(key)?.[1] ?? 0);
      return epoch >= heldAt
        ? new Promise<boolean>(() => setInterval(() => undefined, 60_000))
        : store.create(key, bytes);
    },
  };
}

void main(process.argv[2]!, Number(process.argv[3] ?? Infinity));
