import { setTimeout as sleep } from 'node:timers/promises';
import type { AuditEntry } from '../../../../workflows/domain/audit';
import type { ReleaseManifest } from '../../../../workflows/domain/release';
import { keys } from '../../../../workflows/domain/keys';
import type { RunResult } from '../../../../workflows/domain/run';
import { readHistory } from '../../../../infra/audit/history';
import type { LifecycleStatus } from '../../../../workflows/lifecycle.messages';
import type { StartedRun } from '../../../runs';
import type { SlipwayClient } from '../../../slipway-client';
import type { FlightFiles } from '../recipe';
import type { Ledger } from './ledger';
import type { DemoStack } from './stack';
import type { Traffic } from './traffic';

export const MODEL = 'flights/late-arrival';

export interface Demo {
  readonly ledger: Ledger;
  readonly client: SlipwayClient;
  readonly stack: DemoStack;
  readonly files: FlightFiles;
  readonly traffic: Traffic;
  /** Uniform on [0, 1), from the printed seed. */
  readonly random: () => number;
  /** Things worth a mark in the report's charts, by event time. */
  readonly marks: { readonly atMs: number; readonly label: string }[];
}

/** Wall time that a replayed day takes at least. */
export const MS_PER_DAY = 350;
/** On trial a day takes longer: watchers look each second, and a killed one is missed only after its heartbeat time-out. */
const MS_PER_DAY_ON_TRIAL = 1_500;
const RUN_TIMEOUT_MS = 180_000;

/** Waits until a run wants an approval or ended. */
export async function untilApprovalOrEnd(demo: Demo, run: StartedRun): Promise<LifecycleStatus> {
  const deadline = Date.now() + RUN_TIMEOUT_MS;
  for (;;) {
    // A worker that was killed or is busy answers no query for a while; only the deadline is an answer.
    const status = await demo.client.runStatus(MODEL, run.run).catch(() => null);
    if (
      status &&
      (status.stage === 'awaiting-approval' || status.stage === 'rolling-out' || status.stage === 'finished')
    )
      return status;
    if (Date.now() > deadline)
      throw new Error(`run ${run.run} is still ${status?.stage ?? 'silent'} after ${RUN_TIMEOUT_MS / 1000} s`);
    await sleep(200);
  }
}

/** One approval by update, one by signal: both are the same signed document. */
export async function approveTwice(demo: Demo, run: StartedRun): Promise<void> {
  const first = await demo.client.approve(MODEL, { run: run.run, key: 'approver-1', comment: 'gates read' });
  demo.ledger.must('the first approval, sent as an update, is accepted', first.accepted, first.detail);
  const second = await demo.client.prepareDecision(MODEL, 'approve', {
    run: run.run,
    key: 'approver-2',
    comment: 'holdout checked',
  });
  await demo.client.signalDecision(second);
}

/** Replays traffic until the run ended or `untilMs`; null in the latter case. */
export async function playUntilEnded(demo: Demo, run: StartedRun, untilMs: number): Promise<RunResult | null> {
  let ended: RunResult | null = null;
  const waiting = demo.client.waitForRun(MODEL, run.run).then((result) => (ended = result));
  await demo.traffic.play(untilMs, () => ended !== null, MS_PER_DAY_ON_TRIAL);
  return Promise.race([waiting, sleep(20_000).then(() => null)]);
}

/**
 * Waits until the gateway serves a first canary step, so that replayed days are not wasted on the champion alone, and the trial
 * begins with a day's first request.
 */
export async function untilCanary(demo: Demo): Promise<void> {
  const url = new URL(`/v2/models/${MODEL}`, demo.stack.state().urls.gateway);
  for (let look = 0; look < 150; look += 1) {
    const rollout = (await demo.client.deploymentStatus(MODEL))?.rollout;
    const served = rollout ? await fetch(url).then((answer) => answer.json() as Promise<{ versions?: string[] }>) : {};
    if ((served.versions?.length ?? 0) > 1) return;
    await sleep(200);
  }
  throw new Error('no canary was served within 30 s');
}

export async function readManifest(demo: Demo, version: number): Promise<ReleaseManifest> {
  const bytes = await demo.client.store.get(keys.releaseManifest(MODEL, version));
  if (!bytes) throw new Error(`release ${version} is not in the store`);
  return JSON.parse(Buffer.from(bytes).toString()) as ReleaseManifest;
}

export async function auditEntries(demo: Demo): Promise<readonly AuditEntry[]> {
  return (await readHistory(demo.client.store, MODEL)).entries;
}

export const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
export const percent = (fraction: number, digits = 1): string => `${(fraction * 100).toFixed(digits)} %`;
