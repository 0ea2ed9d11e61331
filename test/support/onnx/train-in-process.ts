import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createTrainingActivities } from '../../../activities/training/create-training-activities';
import { createBlobStore } from '../../../infra/object-store/blobs';
import { openStore } from '../../../infra/object-store/open-store';
import type { IngestResult, RunRequest } from '../../../workflows/domain/run';

/** Stands in for a worker that may be killed: trains what `run.json` of a folder says, and prints the result. */
async function main(folder: string): Promise<void> {
  const input = JSON.parse(readFileSync(join(folder, 'run.json'), 'utf8')) as {
    request: RunRequest;
    ingest: IngestResult;
  };
  const store = openStore({ kind: 'fs', root: join(folder, 'store') });
  const blobs = createBlobStore(store, join(folder, 'cache'));
  const result = await createTrainingActivities({ store, blobs, workFolder: join(folder, 'work') }).train(input);
  process.stdout.write(JSON.stringify(result));
}

void main(process.argv[2]!);
