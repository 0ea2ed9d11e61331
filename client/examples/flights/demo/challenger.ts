import { setTimeout as sleep } from 'node:timers/promises';
import { keys } from '../../../../workflows/domain/keys';
import type { TrainResult } from '../../../../workflows/domain/run';
import type { StartedRun } from '../../../runs';
import {
  approveTwice,
  type Demo,
  MODEL,
  playUntilEnded,
  readManifest,
  untilApprovalOrEnd,
  untilCanary,
} from './context';
import { startSpec } from './first-release';

const AS_OF = '2001-03-01T00:00:00Z';

/**
 * Act 3: a real challenger. The GPU worker is killed while it trains, the control worker and the gateway while it is on trial; the
 * model must come out to the byte as without, and the outcome too.
 */
export async function challenger(demo: Demo): Promise<void> {
  const { ledger, traffic } = demo;
  ledger.begin(
    '3. A challenger: more features and the late rate at the origin; killed while it trains and while it is on trial',
  );
  const run = await startSpec(demo, 'challenger.yaml', AS_OF);
  await untilCheckpoint(demo, run);
  const pauseMs = Math.floor(demo.random() * 250);
  await sleep(pauseMs);
  const back = await demo.stack.kill('gpu');
  const status = await untilApprovalOrEnd(demo, run);
  const resumed = await resumedFromEpoch(demo, run);
  ledger.must(
    'SIGKILL of the GPU worker hit the training, which went on from its checkpoint',
    resumed > 0,
    `${pauseMs} ms after the first checkpoint; another worker after ${back} ms; went on from epoch ${resumed}`,
  );
  ledger.must('the run passed its gates', status.stage === 'awaiting-approval', status.stage);
  await sameModelUndisturbed(demo, status.release?.version ?? 0);

  await approveTwice(demo, run);
  await untilCanary(demo);
  const killDay = traffic.nextDayMs + (1 + Math.floor(demo.random() * 4)) * 86_400_000;
  const trial = { over: false };
  const kills = killOnTrial(demo, killDay, trial);
  const result = await playUntilEnded(demo, run, Date.UTC(2001, 3, 1));
  trial.over = true;
  const killed = await kills;
  ledger.must(
    'the control worker and the gateway were killed under load',
    killed !== null,
    killed ?? 'the trial ended before',
  );
  demo.marks.push({ atMs: traffic.nextDayMs, label: 'release 2 promoted' });
  ledger.must(
    'better on matured paired labels, so promoted',
    result?.outcome === 'promoted',
    `${result?.outcome ?? 'still running'}: ${result?.detail ?? ''}`,
  );
  const { requests, answered, retried, refused } = traffic.counts;
  ledger.must(
    'no request was lost to the kills',
    answered === requests && refused === 0,
    `${answered} of ${requests} answered, ${retried} sent again`,
  );
}

async function untilCheckpoint(demo: Demo, run: StartedRun): Promise<void> {
  const deadline = Date.now() + 120_000;
  while ((await demo.client.store.list(keys.checkpoints(MODEL, run.run), { limit: 1 })).length === 0) {
    if (Date.now() > deadline) throw new Error(`run ${run.run} wrote no checkpoint within 120 s`);
    await sleep(20);
  }
}

/** Epoch that the training which counts began at: 0 where nothing interrupted it. */
async function resumedFromEpoch(demo: Demo, run: StartedRun): Promise<number> {
  const [step] = await demo.client.store.list(keys.runStep(MODEL, run.run, 'train', '').replace(/\.json$/, ''));
  const bytes = step ? await demo.client.store.get(step) : null;
  if (!bytes) return 0;
  return (JSON.parse(Buffer.from(bytes).toString()) as Pick<TrainResult, 'resumedFromEpoch'>).resumedFromEpoch;
}

/** Trains the same snapshot, spec and seed once more, without a kill. */
async function sameModelUndisturbed(demo: Demo, version: number): Promise<void> {
  const again = await startSpec(demo, 'challenger.yaml', AS_OF, { retry: true, from: 'train' });
  const status = await untilApprovalOrEnd(demo, again);
  const first = (await readManifest(demo, version)).onnx;
  const second = (await readManifest(demo, status.release?.version ?? 0)).onnx;
  demo.ledger.must(
    'killed and undisturbed training give the same model, to the byte',
    first === second,
    `${first.slice(7, 19)} and ${second.slice(7, 19)}`,
  );
  const cancelled = await demo.client.cancelRun(MODEL, again.run, 'was trained to compare digests');
  demo.ledger.must('the comparison run is cancelled by a signed command', cancelled.accepted, cancelled.detail);
}

/** Null where the trial was over before the day came. */
async function killOnTrial(demo: Demo, killDayMs: number, trial: { readonly over: boolean }): Promise<string | null> {
  while (demo.traffic.nextDayMs < killDayMs) {
    if (trial.over) return null;
    await sleep(50);
  }
  const control = await demo.stack.kill('control');
  await sleep(Math.floor(demo.random() * 1_500));
  const gateway = await demo.stack.kill('gateway');
  return `SIGKILL of both; others after ${control} and ${gateway} ms`;
}
