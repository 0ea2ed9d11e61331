import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sumObservations } from '../../../workflows/domain/canary';
import { keys } from '../../../workflows/domain/keys';
import type { ObservationDocument } from '../../../workflows/domain/observation';
import { Observations } from '../../../workers/gateway/records/observations';

const MODEL = 'a/b';
const published = new Map<string, ObservationDocument>();
let folder: string;
let nowMs: number;
let problems: string[];
beforeEach(() => {
  published.clear();
  nowMs = 0;
  problems = [];
  folder = mkdtempSync(join(tmpdir(), 'slipway-full-disk-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function incarnation(name: string): Observations {
  const put = async (key: string, bytes: Uint8Array): Promise<void> => {
    published.set(key, JSON.parse(Buffer.from(bytes).toString()) as ObservationDocument);
  };
  const onProblem = (error: Error): void => void problems.push(error.message);
  return new Observations({ gateway: 'g', incarnation: name, folder, put, onProblem, nowMs: () => nowMs });
}

/** Logs of these numbers take nothing, as on a full disk; snapshots do. */
function fillDiskFor(name: string, logs: readonly number[]): void {
  mkdirSync(join(folder, name), { recursive: true });
  for (const log of logs) symlinkSync('/dev/full', join(folder, name, `log-${log}`));
}

/** /dev/full has no end when it is read; a log on a full disk is empty. */
function emptyLog(name: string, log: number): void {
  rmSync(join(folder, name, `log-${log}`), { force: true });
  writeFileSync(join(folder, name, `log-${log}`), '');
}

function documentOf(name: string): ObservationDocument {
  return published.get(keys.observation(MODEL, 1, name))!;
}

function answer(observations: Observations, requests: number): void {
  const observer = observations.open(MODEL, 1, 'rollout x');
  for (let request = 0; request < requests; request += 1) {
    observer.answer(request % 2 === 0 ? 0 : 1, false, `caller-${request}`, request, 1);
    observations.commit();
  }
}

describe('a journal that cannot write', () => {
  it('says how many answers a kill would lose, and they count against the challenger', async () => {
    fillDiskFor('i1', [1]);
    const observations = incarnation('i1');
    answer(observations, 100);
    await observations.publish();
    expect([documentOf('i1').arms.challenger!.requests, documentOf('i1').lostAtMost]).toEqual([50, 100]);
    expect(sumObservations([documentOf('i1')], 'header').errors.challengerLost).toBeGreaterThanOrEqual(50);
    expect(problems.some((message) => message.includes('ENOSPC'))).toBe(true);
    await observations.close();
  });

  it('is told of by the next process after a kill: what it had counted and what it lost make up all that was answered', async () => {
    fillDiskFor('i1', [1]);
    const killed = incarnation('i1');
    answer(killed, 100);
    emptyLog('i1', 1);
    const next = incarnation('i2');
    await next.publish();
    const { arms, lostAtMost } = documentOf('i1');
    expect((arms.champion?.requests ?? 0) + (arms.challenger?.requests ?? 0) + lostAtMost).toBe(100);
    expect(lostAtMost).toBe(100);
    await killed.close();
    await next.close();
  });

  it('has nothing at risk any more once the disk takes a snapshot, and says so', async () => {
    fillDiskFor('i1', [1]);
    const observations = incarnation('i1');
    answer(observations, 10);
    await observations.publish();
    expect(documentOf('i1').lostAtMost).toBe(10);
    nowMs = 1_001;
    answer(observations, 1);
    await observations.publish();
    expect(documentOf('i1').lostAtMost).toBe(0);
    const next = incarnation('i2');
    await next.publish();
    const { arms, lostAtMost } = documentOf('i1');
    expect([(arms.champion?.requests ?? 0) + (arms.challenger?.requests ?? 0), lostAtMost]).toEqual([11, 0]);
    await observations.close();
    await next.close();
  });
});
