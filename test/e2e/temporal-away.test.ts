import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readHistory } from '../../infra/audit/history';
import { verifyAudit } from '../../infra/audit/verify';
import { loadTrust } from '../../infra/signing/trust';
import { type LocalServer, startLocalServer } from '../../infra/temporal/local-server';
import { ensureTool } from '../../infra/tools/ensure-tool';
import { freePorts } from '../support/ports';
import { slipwayCli } from '../support/slipway-cli';
import { temporaryFolder } from '../support/temporary-folder';
import { AS_OF, answerCanary, approveTiny, MODEL, newestCanary, startTiny, writeOrders } from '../support/tiny-shop';
import { startTraffic, type Traffic } from '../support/tiny-traffic';
import { untilSeen } from '../support/until';
import { type Fleet, startFleet } from '../support/worker-fleet';

const AWAY_MS = 4_000;
const NAMESPACE = 'slipway-away';

const folder = temporaryFolder('away');
const databaseFile = join(folder.path, 'temporal.db');
let server: LocalServer;
let fleet: Fleet;
let gatewayUrl: string;
let traffic: Traffic | null = null;

beforeAll(async () => {
  const [gatewayPort] = await freePorts(1);
  gatewayUrl = `http://127.0.0.1:${gatewayPort}`;
  await writeOrders(folder.path);
  await bringTemporal();
  fleet = await startFleet({
    folder: folder.path,
    workspace: 'away',
    temporalAddress: server.address,
    roles: ['control', 'compute', 'gateway'],
    env: { SLIPWAY_GATEWAY_PORT: String(gatewayPort) },
  });
}, 120_000);

afterAll(async () => {
  await traffic?.stop();
  await fleet.stop();
  await server.stop();
  folder.remove();
}, 60_000);

let port = 0;
async function bringTemporal(): Promise<void> {
  port ||= (await freePorts(1))[0]!;
  const binary = await ensureTool('temporal-cli', () => undefined);
  server = await startLocalServer({ binary, port, uiPort: null, databaseFile, namespace: NAMESPACE });
}

async function killTemporal(): Promise<void> {
  process.kill(server.pid, 'SIGKILL');
  await server.stop();
}

/** Its history is gone with its database; the namespace is there again, as `slipway up` would make it. */
async function forgetEverything(): Promise<void> {
  await killTemporal();
  for (const ending of ['', '-shm', '-wal', '-journal']) rmSync(`${databaseFile}${ending}`, { force: true });
  await bringTemporal();
}

async function away(): Promise<void> {
  await killTemporal();
  await sleep(AWAY_MS);
  await bringTemporal();
}

const routes = async () => (await readHistory(fleet.client.store, MODEL)).routes;
const kinds = async () => (await readHistory(fleet.client.store, MODEL)).entries.map(({ kind }) => kind);
const servedBy = (version: number, generation: number) =>
  untilSeen(`release ${version}`, async () => {
    const newest = traffic!.newest();
    return newest && newest.version === String(version) && newest.generation >= generation ? newest : null;
  });

async function expectAuditInOrder(): Promise<void> {
  const verified = await verifyAudit(fleet.client.store, await loadTrust(fleet.config.trustFile), MODEL);
  expect(verified.problems).toEqual([]);
}

describe('Temporal that goes away', () => {
  it('I6: loses nothing of an approval wait', async () => {
    const { client } = fleet;
    const run = await startTiny(fleet, 'first', { quality: false });
    await untilSeen('a release to approve', async () =>
      (await client.runStatus(MODEL, run.run)).evidence ? true : null,
    );
    await away();
    await approveTiny(fleet, run);
    expect(await client.waitForRun(MODEL, run.run)).toMatchObject({ outcome: 'promoted', version: 1 });
    expect((await kinds()).filter((kind) => kind === 'approval.recorded')).toHaveLength(1);
    traffic = startTraffic(gatewayUrl, Date.parse(AS_OF));
    await servedBy(1, 1);
    await traffic.stop();
  }, 180_000);

  it('I6: loses nothing of a canary, and callers notice nothing', async () => {
    const { client } = fleet;
    traffic = startTraffic(gatewayUrl, Date.parse(AS_OF));
    const run = await startTiny(fleet, 'second', { seed: 2, quality: false });
    await approveTiny(fleet, run);
    const canary = await untilSeen('a canary', () => newestCanary(client.store));
    await away();
    await answerCanary(client.store, canary);
    expect(await client.waitForRun(MODEL, run.run)).toMatchObject({ outcome: 'promoted', version: 2 });
    await servedBy(2, canary.generation + 1);
    const report = await traffic.stop();
    expect(Object.keys(report.byStatus)).toEqual(['200']);
    expect(report.generations).toEqual([1, 2, 3]);
    await expectAuditInOrder();
  }, 180_000);
});

describe('Temporal that forgets everything', () => {
  it('I5: leaves no canary that nobody watches: the control worker sees to its workflow, which takes it back', async () => {
    const { client } = fleet;
    const run = await startTiny(fleet, 'unwatched', { seed: 9, quality: false });
    await approveTiny(fleet, run);
    const canary = await untilSeen('a canary', () => newestCanary(client.store, 3));
    await forgetEverything();
    const startedMs = Date.now();
    const alone = await untilSeen('the champion alone', async () => {
      const newest = (await routes()).at(-1)!;
      return newest.generation > canary.generation ? newest : null;
    });
    process.stdout.write(
      `an unwatched canary was taken back after ${((Date.now() - startedMs) / 1000).toFixed(1)} s\n`,
    );
    expect(alone.arms.map(({ name, release }) => `${name} ${release.version}`)).toEqual(['champion 2']);
    await untilSeen('the end in the log', async () => ((await kinds()).at(-1) === 'rollout.ended' ? true : null));
    expect((await kinds()).slice(-3)).toEqual(['deployment.recovered', 'route.intended', 'rollout.ended']);
  }, 180_000);

  it('I4: still rolls back, after taking back the canary that nobody watches any more', async () => {
    const { client } = fleet;
    traffic = startTraffic(gatewayUrl, Date.parse(AS_OF));
    const run = await startTiny(fleet, 'third', { seed: 3, quality: false });
    await approveTiny(fleet, run);
    const canary = await untilSeen('a canary', () => newestCanary(client.store, 5));
    await servedBy(4, canary.generation);

    await forgetEverything();
    const rollback = await slipwayCli(fleet.env, folder.path, 'rollback', MODEL, '--reason', 'history lost', '--json');
    expect({ code: rollback.code, stderr: rollback.stderr }).toEqual({ code: 0, stderr: '' });
    await servedBy(1, canary.generation + 2);

    const since = (await routes()).filter(({ generation }) => generation > canary.generation);
    expect(since.map(({ arms }) => arms.map(({ name, release }) => `${name} ${release.version}`).join())).toEqual([
      'champion 2',
      'champion 1',
    ]);
    const last = (await kinds()).slice(-5);
    expect(last).toContain('command.accepted');
    expect(last.filter((kind) => kind !== 'command.accepted')).toEqual([
      'deployment.recovered',
      'route.intended',
      'rollout.ended',
      'route.intended',
    ]);
    const report = await traffic.stop();
    expect(Object.keys(report.byStatus)).toEqual(['200']);
    expect(report.generations).toEqual([...report.generations].sort((a, b) => a - b));
    await expectAuditInOrder();
  }, 240_000);

  it('takes a run up again where the store knows it: the same release, registered once', async () => {
    const { client } = fleet;
    const run = await startTiny(fleet, 'fourth', { seed: 4, quality: false });
    const status = () => client.runStatus(MODEL, run.run).then((seen) => (seen.evidence ? seen : null));
    const before = await untilSeen('a release to approve', status);
    await forgetEverything();
    const again = await untilSeen('a start', () => startTiny(fleet, 'fourth', { seed: 4, quality: false }));
    expect(again).toMatchObject({ run: run.run, joined: false });
    const after = await untilSeen('the release again', status);
    expect(after.release).toEqual(before.release);
    expect((await kinds()).filter((kind) => kind === 'release.registered')).toHaveLength(5);
    const cancelled = await client.cancelRun(MODEL, run.run, 'seen enough');
    expect(cancelled.accepted).toBe(true);
    await expectAuditInOrder();
  }, 240_000);
});
