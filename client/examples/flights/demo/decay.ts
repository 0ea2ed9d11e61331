import { setTimeout as sleep } from 'node:timers/promises';
import type { MonitorReport } from '../../../../workflows/domain/monitoring';
import type { MonitorResult } from '../../../../workflows/monitor.messages';
import {
  approveTwice,
  dayOf,
  type Demo,
  MODEL,
  MS_PER_DAY,
  playUntilEnded,
  untilApprovalOrEnd,
  untilCanary,
} from './context';

const WEEK_MS = 7 * 86_400_000;

export interface Look {
  readonly asOfMs: number;
  readonly result: MonitorResult;
  readonly report: MonitorReport;
}

/** Act 5: the model decays by itself in late April; the monitor sees it on labels and starts a retrain. Then a drift that we inject. */
export async function decay(demo: Demo, looks: Look[]): Promise<void> {
  const { ledger, traffic } = demo;
  ledger.begin('5. April and May: calibration decays, the monitor decides, a retrain follows');
  let decided: Look | null = null;
  for (let weekMs = traffic.nextDayMs + WEEK_MS; weekMs <= Date.UTC(2001, 5, 1) && !decided; weekMs += WEEK_MS) {
    await traffic.play(weekMs, () => false, MS_PER_DAY);
    const look = await lookAt(demo, weekMs, looks);
    if (look.result.retrainRun) decided = look;
  }
  const calibration = decided?.report.calibration;
  ledger.must(
    'the monitor starts a retrain because the scores left the labels',
    calibration?.outcome === 'fail',
    decided ? `${dayOf(decided.asOfMs)}: ${calibration?.detail ?? ''}` : 'no retrain by 1 June',
  );
  if (decided?.result.retrainRun) await retrain(demo, decided.result.retrainRun);
  await injectedDrift(demo, looks);
}

export async function lookAt(demo: Demo, asOfMs: number, looks: Look[]): Promise<Look> {
  const result = await demo.client.triggerMonitor(MODEL, new Date(asOfMs).toISOString());
  const report = await demo.client.blobs.getJson<MonitorReport>(result.report);
  demo.ledger.say(`look at ${dayOf(asOfMs)}: ${result.decision} - ${report.calibration.detail}`);
  const look = { asOfMs, result, report };
  looks.push(look);
  return look;
}

async function retrain(demo: Demo, runId: string): Promise<void> {
  const { ledger, traffic, client } = demo;
  demo.marks.push({ atMs: traffic.nextDayMs, label: 'retrain' });
  const run = { run: runId, model: MODEL } as Parameters<typeof untilApprovalOrEnd>[1];
  const status = await untilApprovalOrEnd(demo, run);
  ledger.must(
    'the retrain on the expanded window passes its gates',
    status.stage === 'awaiting-approval',
    `${status.stage}: ${status.detail}`,
  );
  await approveTwice(demo, run);
  await untilCanary(demo);
  const result = await playUntilEnded(demo, run, Date.UTC(2001, 5, 12));
  demo.marks.push({ atMs: traffic.nextDayMs, label: `retrain ${result?.outcome ?? 'open'}` });
  const honest = result?.outcome === 'promoted' || result?.outcome === 'inconclusive';
  ledger.must(
    'the retrain is promoted, or honestly called inconclusive',
    honest,
    `${result?.outcome ?? 'still running'}: ${result?.detail ?? ''}`,
  );
  const request = (await client.listRuns(MODEL)).find((listed) => listed.request.run === runId)?.request;
  ledger.must(
    'its cause is drift, and it links to the look',
    request?.cause === 'drift' && request.evidence !== null,
    `${request?.cause ?? '-'}, evidence ${request?.evidence?.slice(7, 19) ?? '-'}`,
  );
}

/** Injected, and called so: for three weeks every caller sends distances 40 % too long. */
async function injectedDrift(demo: Demo, looks: Look[]): Promise<void> {
  const { ledger, traffic } = demo;
  ledger.say('injected: for three weeks every distance is sent 40 % too long');
  demo.marks.push({ atMs: traffic.nextDayMs, label: 'injected drift' });
  const found: string[] = [];
  for (let week = 0; week < 3 && traffic.nextDayMs + WEEK_MS <= Date.UTC(2001, 6, 1); week += 1) {
    await traffic.play(
      traffic.nextDayMs + WEEK_MS,
      () => false,
      MS_PER_DAY,
      (flight) => ({ ...flight, distance: Math.min(5500, flight.distance * 1.4) }),
    );
    await sleep(700);
    const { report } = await lookAt(demo, traffic.nextDayMs, looks);
    for (const verdict of report.drift) if (verdict.outcome === 'fail') found.push(verdict.check);
  }
  ledger.must(
    'the injected drift is found, in the feature that was changed',
    found.some((check) => check.includes('distance')),
    found.join(', ') || 'nothing found',
  );
}
