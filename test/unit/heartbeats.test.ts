import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { createEvaluationActivities } from '../../activities/evaluation/create-evaluation-activities';
import { createIngestActivities } from '../../activities/ingest/create-ingest-activities';
import { createLookActivities } from '../../activities/monitoring/create-monitoring-activities';
import { createTrainingActivities } from '../../activities/training/create-training-activities';
import { createWatchActivities } from '../../activities/watching/create-watch-activities';
import { untilSeen } from '../support/until';

let giveUp: (error: Error) => void;
let answer: Promise<never>;
beforeEach(() => {
  answer = new Promise((_, reject) => (giveUp = reject));
});

/** A store that does not answer, whatever it is asked: a download that takes its time. */
const silent: unknown = new Proxy(() => answer, { get: () => silent });

const ports = {
  ...{ store: silent, blobs: silent, releases: silent, routes: silent, predictions: silent, audit: silent },
  ...{ registry: silent, reader: silent, now: Date.now },
} as never;

const activities = {
  ...createIngestActivities(ports),
  ...createTrainingActivities(ports),
  ...createEvaluationActivities(ports),
  ...createLookActivities(ports),
  ...createWatchActivities(ports),
};
/** Those of the presets dataJob, trainingJob and watcher. */
const LONG = ['ingest', 'train', 'openImported', 'evaluate', 'look', 'watchCanary', 'watchQuality'] as const;

const input = {
  model: 'a/b',
  asOf: null,
  look: 'look-1',
  request: { model: 'a/b', run: 'r', imported: {} },
  ingest: {},
  training: {},
  rollout: { spec: { quality: {} } },
};

describe('an activity with a heartbeat time-out', () => {
  it.each(LONG)('says that it lives each second, from its first: %s', async (name) => {
    let beats = 0;
    const environment = new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') });
    environment.on('heartbeat', () => (beats += 1));
    const result = environment.run(activities[name] as (input: unknown) => Promise<unknown>, input);
    await untilSeen('a third heartbeat', async () => (beats >= 3 ? true : null));
    giveUp(new Error('seen enough'));
    await expect(result).rejects.toThrow('seen enough');
  });
});
