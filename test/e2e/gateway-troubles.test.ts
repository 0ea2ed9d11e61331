import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createBlobStore } from '../../infra/object-store/blobs';
import type { ObjectStore } from '../../infra/object-store/port';
import { createS3Store } from '../../infra/object-store/s3-store';
import { type LocalServer, startLocalServer } from '../../infra/temporal/local-server';
import { ensureTool } from '../../infra/tools/ensure-tool';
import { keys } from '../../workflows/domain/keys';
import type { ObservationDocument } from '../../workflows/domain/observation';
import type { ReleaseManifest } from '../../workflows/domain/release';
import { type CheckedLoad, directScores, type LoadReport, startCheckedLoad } from '../support/checked-load';
import { type FlakyProxy, startFlakyProxy } from '../support/flaky-proxy';
import { freePorts } from '../support/ports';
import { temporaryFolder } from '../support/temporary-folder';
import { AS_OF, approveTiny, MODEL, newestCanary, startTiny, writeOrders } from '../support/tiny-shop';
import { untilSeen } from '../support/until';
import { startTestS3, type TestS3 } from '../support/versitygw';
import { type Fleet, startFleet } from '../support/worker-fleet';

const CALLERS = 8;
/** Longer than the lease of a challenger, which is ten seconds. */
const BLACKOUT_MS = 13_000;
const ROWS = Array.from({ length: 60 }, (_, at) => ({ price: 10 + at * 3.25, country: ['DE', 'FR', 'ES'][at % 3]! }));

const folder = temporaryFolder('troubles');
let s3: TestS3;
let proxy: FlakyProxy;
let server: LocalServer;
let fleet: Fleet;
let truth: ObjectStore;
let load: CheckedLoad;
let temporalPort: number;
let gatewayUrl: string;

async function bringTemporal(): Promise<void> {
  const binary = await ensureTool('temporal-cli', () => undefined);
  const databaseFile = join(folder.path, 'temporal.db');
  server = await startLocalServer({ binary, port: temporalPort, uiPort: null, databaseFile, namespace: 'default' });
}

async function killTemporal(): Promise<void> {
  process.kill(server.pid, 'SIGKILL');
  await server.stop();
}

const loseStore = (): void => void (proxy.decide = () => 'answer-503');
const bringStore = (): void => void (proxy.decide = () => 'pass');

async function isReady(): Promise<true | null> {
  const answer = await fetch(`${gatewayUrl}/v2/models/${MODEL}/ready`);
  return answer.status === 200 ? true : null;
}

/** Kills the gateway and waits until another process answers; milliseconds without an answer. */
async function killGateway(): Promise<number> {
  const killedMs = performance.now();
  fleet.kill('gateway');
  await untilSeen('another gateway process', isReady);
  return performance.now() - killedMs;
}

function tell(what: string, { answers, refused, wrong, versions, longestGapMs }: LoadReport): void {
  const notAnswered = Object.entries(refused).map(([status, count]) => `${count} × ${status}`);
  process.stdout.write(
    `${what}: ${answers} answers held against direct inference, ${wrong.length} wrong; not answered: ${notAnswered.join(', ') || 'none'}; ` +
      `longest gap ${longestGapMs.toFixed(0)} ms; by release ${JSON.stringify(versions)}\n`,
  );
}

/** What was met while `trouble` lasted. No answer is wrong in any of them. */
async function during(what: string, trouble: () => Promise<unknown>): Promise<LoadReport> {
  load.take();
  await trouble();
  const report = load.take();
  tell(what, report);
  expect(report.wrong).toEqual([]);
  return report;
}

async function manifestOf(version: number): Promise<ReleaseManifest> {
  const bytes = await truth.get(keys.releaseManifest(MODEL, version));
  return JSON.parse(Buffer.from(bytes!).toString()) as ReleaseManifest;
}

async function promoteFirstAndTrySecond(): Promise<void> {
  const first = await startTiny(fleet, 'first', { quality: false });
  await approveTiny(fleet, first);
  expect(await fleet.client.waitForRun(MODEL, first.run)).toMatchObject({ outcome: 'promoted', version: 1 });
  await approveTiny(fleet, await startTiny(fleet, 'second', { seed: 2, quality: false }));
  await untilSeen('a canary', () => newestCanary(truth));
  await untilSeen('the gateway', isReady);
}

beforeAll(async () => {
  s3 = await startTestS3();
  proxy = await startFlakyProxy(s3.endpoint);
  truth = createS3Store(s3.config('troubles'));
  const [temporal, gateway] = await freePorts(2);
  temporalPort = temporal!;
  gatewayUrl = `http://127.0.0.1:${gateway}`;
  await writeOrders(folder.path);
  await bringTemporal();
  fleet = await startFleet({
    folder: folder.path,
    workspace: 'troubles',
    temporalAddress: server.address,
    roles: ['control', 'compute', 'gateway'],
    env: {
      SLIPWAY_STORE: 's3://slipway-test/troubles',
      SLIPWAY_S3_ENDPOINT: proxy.endpoint,
      SLIPWAY_GATEWAY_PORT: String(gateway),
    },
  });
  await promoteFirstAndTrySecond();
  const blobs = createBlobStore(truth, join(folder.path, 'direct'));
  const expected = new Map<string, Float32Array>();
  for (const version of [1, 2])
    expected.set(String(version), await directScores(blobs, await manifestOf(version), ROWS));
  const tensor = (name: string, datatype: string, value: unknown): object => ({
    ...{ name, datatype, shape: [1, 1], data: [value] },
  });
  load = startCheckedLoad({
    url: `${gatewayUrl}/v2/models/${MODEL}/infer`,
    rows: ROWS,
    expected,
    callers: CALLERS,
    bodyOf: ({ price, country }, id) =>
      JSON.stringify({
        id,
        parameters: { event_time: Date.parse(AS_OF) },
        inputs: [tensor('price', 'FP32', price), tensor('country', 'BYTES', country)],
      }),
  });
}, 240_000);

afterAll(async () => {
  await load?.stop();
  await fleet?.stop();
  await server?.stop();
  await proxy?.close();
  await s3?.stop();
  folder.remove();
}, 60_000);

describe('a gateway under load, each answer held against direct inference by the release that it names', () => {
  it('answers by both arms when all is well', async () => {
    const calm = await during('all is well', () => sleep(3_000));
    expect([calm.refused, Object.keys(calm.versions).sort()]).toEqual([{}, ['1', '2']]);
  }, 60_000);

  it('I4: answers everything without the store, by the champion alone once the lease is over', async () => {
    loseStore();
    expect((await during('the store is lost', () => sleep(BLACKOUT_MS))).refused).toEqual({});
    const later = await during('the store is lost for longer than the lease', () => sleep(2_000));
    expect([later.refused, Object.keys(later.versions)]).toEqual([{}, ['1']]);
    bringStore();
    await untilSeen('the challenger again', async () => ('2' in load.take().versions ? true : null));
  }, 90_000);

  it('does not notice that Temporal is gone, with the store and without it', async () => {
    await killTemporal();
    expect((await during('Temporal is lost', () => sleep(4_000))).refused).toEqual({});
    loseStore();
    expect((await during('Temporal and the store are lost', () => sleep(4_000))).refused).toEqual({});
    bringStore();
    await bringTemporal();
  }, 90_000);

  it('I6: fails only what it had under way when it is killed, and comes back from its disk where there is no store', async () => {
    await untilSeen('the challenger again', async () => ('2' in load.take().versions ? true : null));
    let awayMs = 0;
    const killed = await during('the gateway is killed', async () => {
      awayMs = await killGateway();
      await sleep(1_000);
    });
    process.stdout.write(`another process served after ${awayMs.toFixed(0)} ms\n`);
    expect(Object.keys(killed.refused).filter((status) => status !== 'none' && status !== '503')).toEqual([]);
    loseStore();
    const alone = await during('the gateway is killed while the store is lost', async () => {
      awayMs = await killGateway();
      load.take();
      await sleep(2_000);
    });
    process.stdout.write(`another process served from its disk after ${awayMs.toFixed(0)} ms\n`);
    expect([alone.answers > 0, alone.refused, Object.keys(alone.versions)]).toEqual([true, {}, ['1']]);
    bringStore();
  }, 120_000);

  it('has every answer in its counts, or says how many may be missing', async () => {
    await load.stop();
    const { sent, answered } = load.total;
    const counted = await untilSeen('the counts', async () => {
      const seen = await countedRequests();
      return seen.requests + seen.lost >= answered ? seen : null;
    });
    process.stdout.write(
      `${answered} answered, ${counted.requests} counted by ${counted.incarnations} incarnations, at most ${counted.lost} lost\n`,
    );
    expect(counted.requests).toBeLessThanOrEqual(sent);
    expect(counted.incarnations).toBe(3);
  }, 60_000);
});

async function countedRequests(): Promise<{ requests: number; lost: number; incarnations: number }> {
  const incarnations = new Set<string>();
  let requests = 0;
  let lost = 0;
  for (const generation of [1, 2]) {
    for (const key of await truth.list(keys.observations(MODEL, generation))) {
      if (key.startsWith(keys.breakerEvents(MODEL, generation))) continue;
      const document = JSON.parse(Buffer.from((await truth.get(key))!).toString()) as ObservationDocument;
      incarnations.add(document.incarnation);
      requests += (document.arms.champion?.requests ?? 0) + (document.arms.challenger?.requests ?? 0);
      lost += document.lostAtMost;
    }
  }
  return { requests, lost, incarnations: incarnations.size };
}
