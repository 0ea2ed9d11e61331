import { judgeQuality } from '../../../../workflows/domain/statistics/quality-verdict';
import type { PairedDay } from '../../../../workflows/domain/statistics/paired-days';
import type { Verdict } from '../../../../workflows/domain/verdict';
import { keys } from '../../../../workflows/domain/keys';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  approveTwice,
  auditEntries,
  type Demo,
  MODEL,
  MS_PER_DAY,
  playUntilEnded,
  readManifest,
  untilApprovalOrEnd,
  untilCanary,
} from './context';
import { withEndingTable } from './ending-table';
import { startSpec } from './first-release';
import { pairedDaysOf } from './paired-days';

/** Act 4: three releases that must not stay: one refused by its unit, one taken back by its answers, one by its errors. */
export async function badReleases(demo: Demo): Promise<void> {
  demo.ledger.begin('4. Three bad releases');
  await kilometres(demo);
  await utcHours(demo);
  await endingTable(demo);
}

async function kilometres(demo: Demo): Promise<void> {
  const run = await startSpec(demo, 'kilometres.yaml', '2001-03-20T00:00:00Z');
  const result = await demo.client.waitForRun(MODEL, run.run);
  const gates = (await demo.client.runStatus(MODEL, run.run)).gates;
  const failed = gates.filter((gate) => gate.outcome === 'fail');
  const byUnit = failed.some((gate) => gate.gate.includes('compatible') && gate.detail.includes('km'));
  demo.ledger.must(
    'kilometres are refused before any request sees them',
    result.outcome === 'gates-failed' && byUnit,
    failed.map((gate) => `${gate.gate}: ${gate.detail}`).join('; '),
  );
}

async function utcHours(demo: Demo): Promise<void> {
  const { ledger, traffic } = demo;
  const run = await startSpec(demo, 'utc-hours.yaml', '2001-03-20T00:00:00Z');
  const status = await untilApprovalOrEnd(demo, run);
  ledger.must(
    'a model of UTC hours passes every offline gate',
    status.stage === 'awaiting-approval',
    `${status.stage}: ${status.gates.map((gate) => `${gate.gate} ${gate.outcome}`).join(', ')}`,
  );
  await approveTwice(demo, run);
  await untilCanary(demo);
  const generation = (await demo.client.deploymentStatus(MODEL))?.generation ?? 0;
  const fromMs = traffic.nextDayMs;
  const result = await playUntilEnded(demo, run, fromMs + 8 * 86_400_000);
  demo.marks.push({ atMs: traffic.nextDayMs, label: `UTC hours ${result?.outcome ?? 'on trial'}` });
  const verdicts = await lastVerdicts(demo);
  const disagreement = verdicts.find((verdict) => verdict.check === 'disagreement');
  ledger.must(
    'the canary takes it back: its answers differ too much',
    result?.outcome === 'rolled-back' && disagreement?.outcome === 'fail',
    `${result?.outcome ?? 'still running'}; ${disagreement?.detail ?? 'no disagreement verdict'}`,
  );
  await traffic.play(traffic.nextDayMs + 2 * 86_400_000, () => false, MS_PER_DAY);
  await confirmByLabels(demo, generation, status.release?.version ?? 0, fromMs);
}

/** Labels mature after the rollback; they must agree with it. */
async function confirmByLabels(demo: Demo, generation: number, version: number, fromMs: number): Promise<void> {
  const days = await pairedDaysOf(demo, {
    generations: [generation, generation + 1],
    challenger: version,
    fromMs,
    toMs: demo.traffic.nextDayMs,
  });
  const verdict = judgeQuality({ metric: 'logLoss', require: 'notWorse', margin: 0, alpha: 0.05, minDays: 1 }, days);
  const total = (loss: (day: PairedDay) => number): number => days.reduce((sum, day) => sum + day.rows * loss(day), 0);
  const worse = total((day) => day.challengerLoss) > total((day) => day.championLoss);
  demo.ledger.must('the labels that matured later say the same', worse, verdict.detail);
}

async function endingTable(demo: Demo): Promise<void> {
  const { ledger, client, traffic } = demo;
  const champion = (await client.deploymentStatus(MODEL))?.champion?.version ?? 0;
  const manifest = await readManifest(demo, champion);
  const bytes = withEndingTable(
    await client.blobs.get(manifest.onnx),
    'departure_local',
    manifest.signature.output.name,
    Date.UTC(2001, 0, 1),
    90,
  );
  const imported = { onnx: await client.blobs.put(bytes), signature: await client.blobs.putJson(manifest.signature) };
  const specFile = join(demo.files.folder, 'challenger.yaml');
  const run = await client.startRun({
    specText: await readFile(specFile, 'utf8'),
    specFile,
    asOf: '2001-03-25T00:00:00Z',
    commit: 'demo-import',
    cause: 'import',
    imported,
  });
  ledger.say(`run ${run.run}: an imported model whose table of days ends on 31 March`);
  const status = await untilApprovalOrEnd(demo, run);
  ledger.must(
    'an imported model enters at the gates',
    status.stage === 'awaiting-approval',
    `${status.stage}: ${status.detail}`,
  );
  await traffic.play(Date.UTC(2001, 2, 31), () => false, MS_PER_DAY);
  await approveTwice(demo, run);
  await untilCanary(demo);
  const before = { ...traffic.counts };
  const result = await playUntilEnded(demo, run, Date.UTC(2001, 3, 5));
  demo.marks.push({ atMs: traffic.nextDayMs, label: `failing import ${result?.outcome ?? 'on trial'}` });
  ledger.must(
    'errors take it back',
    result?.outcome === 'rolled-back',
    `${result?.outcome ?? 'still running'}: ${result?.detail ?? ''}`,
  );
  const tripped = await breakerEvents(demo);
  ledger.must('the gateway took it out by itself first', tripped > 0, `${tripped} breaker event(s)`);
  const lost = traffic.counts.requests - before.requests - (traffic.counts.answered - before.answered);
  ledger.must(
    'callers got an answer all the while: the champion filled in',
    lost === 0,
    `${lost} of ${traffic.counts.requests - before.requests} without`,
  );
}

async function breakerEvents(demo: Demo): Promise<number> {
  const generation = (await demo.client.deploymentStatus(MODEL))?.generation ?? 0;
  const found = await Promise.all(
    Array.from({ length: generation + 1 }, (_, at) => demo.client.store.list(keys.breakerEvents(MODEL, at))),
  );
  return found.flat().length;
}

/** Verdicts of the newest rollout that ended, from the audit log. */
async function lastVerdicts(demo: Demo): Promise<readonly Verdict[]> {
  const entry = (await auditEntries(demo))
    .filter(({ kind }) => kind === 'rollout.ended' || kind === 'rollout.judged')
    .at(-1);
  return (entry?.data['verdicts'] as readonly Verdict[] | undefined) ?? [];
}
