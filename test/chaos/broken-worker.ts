import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { Worker } from '@temporalio/worker';

/**
 * The killing worker with a defect that a careless change makes: `recordRollout` tells its attempts apart, so that an attempt after a crash
 * writes its entry of the audit log once more. Same arguments and environment as `killing-worker.ts`.
 */
type Activity = (input: { detail: string }) => Promise<unknown>;

const create = Worker.create.bind(Worker);
Worker.create = (options) => {
  const { recordRollout, ...sound } = options.activities as Record<string, Activity>;
  if (!recordRollout) return create(options);
  const broken: Activity = (input) => recordRollout({ ...input, detail: `${input.detail} ${randomUUID()}` });
  return create({ ...options, activities: { ...sound, recordRollout: broken } });
};
// eslint-disable-next-line @typescript-eslint/no-require-imports -- after the patch, and the worker runs when it is loaded
require(join(__dirname, 'killing-worker'));
