import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Step } from '../../../../workflows/domain/run';
import type { StartedRun } from '../../../runs';
import { approveTwice, type Demo, MODEL, MS_PER_DAY, untilApprovalOrEnd } from './context';

export async function startSpec(
  demo: Demo,
  spec: string,
  asOf: string,
  more: { retry?: boolean; from?: Step } = {},
): Promise<StartedRun> {
  const specFile = join(demo.files.folder, spec);
  const started = await demo.client.startRun({
    specText: await readFile(specFile, 'utf8'),
    specFile,
    asOf,
    commit: 'demo',
    ...more,
  });
  demo.ledger.say(`run ${started.run} of ${spec} with data up to ${asOf.slice(0, 10)}`);
  return started;
}

/** Act 1: from raw data to a first release that two people signed for. Act 2: it answers the traffic of March. */
export async function firstRelease(demo: Demo): Promise<void> {
  const { ledger, client, traffic } = demo;
  ledger.begin('1. First release: train on January and February, gates, two signed approvals');
  const run = await startSpec(demo, 'late-arrival.yaml', '2001-03-01T00:00:00Z');
  const status = await untilApprovalOrEnd(demo, run);
  const passed = status.gates.filter((gate) => gate.outcome === 'pass').length;
  ledger.must(
    'the gates pass and the run waits for people',
    status.stage === 'awaiting-approval',
    `${status.stage}, ${passed} of ${status.gates.length} gates`,
  );
  for (const gate of status.gates) ledger.say(`gate ${gate.gate}: ${gate.outcome} - ${gate.detail}`);
  const self = await client.approve(MODEL, { run: run.run, key: 'developer' });
  ledger.must('who started the run cannot approve it', !self.accepted, self.accepted ? 'accepted' : `${self.code}`);
  await approveTwice(demo, run);
  const result = await client.waitForRun(MODEL, run.run);
  ledger.must(
    'two people approved; release 1 serves',
    result.outcome === 'promoted',
    `${result.outcome}: ${result.detail}`,
  );

  ledger.begin('2. March begins: traffic through the gateway, labels when they would be known');
  await untilServing(demo);
  await traffic.play(Date.UTC(2001, 2, 4), () => false, MS_PER_DAY);
  const { requests, answered, byVersion } = traffic.counts;
  ledger.must(
    'every request was answered by release 1',
    answered === requests && byVersion['1'] === answered,
    `${answered} of ${requests}`,
  );
}

async function untilServing(demo: Demo): Promise<void> {
  const url = new URL(`/v2/models/${MODEL}/ready`, demo.stack.state().urls.gateway);
  for (let look = 0; look < 100; look += 1) {
    const ready = await fetch(url)
      .then((response) => response.ok)
      .catch(() => false);
    if (ready) return;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error('the gateway did not become ready for the first release within 10 s');
}
