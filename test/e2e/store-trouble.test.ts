import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StartedRun } from '../../client/runs';
import { readHistory } from '../../infra/audit/history';
import { verifyAudit } from '../../infra/audit/verify';
import { createS3Store } from '../../infra/object-store/s3-store';
import type { ObjectStore } from '../../infra/object-store/port';
import { streamOf } from '../../infra/onnx/random';
import { createPredictionReader } from '../../infra/predictions/reader';
import { loadTrust } from '../../infra/signing/trust';
import { connectTemporal } from '../../infra/temporal/connection';
import { type LocalServer, startLocalServer } from '../../infra/temporal/local-server';
import { ensureTool } from '../../infra/tools/ensure-tool';
import { keys } from '../../workflows/domain/keys';
import type { ReleaseManifest } from '../../workflows/domain/release';
import { type Fate, type FlakyProxy, startFlakyProxy } from '../support/flaky-proxy';
import { freePorts } from '../support/ports';
import { slipwayCli } from '../support/slipway-cli';
import { temporaryFolder } from '../support/temporary-folder';
import { AS_OF, answerCanary, approveTiny, MODEL, newestCanary, startTiny, writeOrders } from '../support/tiny-shop';
import { startTraffic, type Traffic } from '../support/tiny-traffic';
import { untilSeen } from '../support/until';
import { startTestS3, type TestS3 } from '../support/versitygw';
import { type Fleet, startFleet } from '../support/worker-fleet';

const folder = temporaryFolder('trouble');
let server: LocalServer;
const mount = join(folder.path, 'disk');
const mounted = ((): boolean => {
  mkdirSync(mount);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', mount], { stdio: 'ignore' });
    return true;
  } catch {
    process.stdout.write('no file system may be mounted here: the full disk is not tried\n');
    return false;
  }
})();

beforeAll(async () => {
  const [port] = await freePorts(1);
  const binary = await ensureTool('temporal-cli', () => undefined);
  server = await startLocalServer({ binary, port: port!, uiPort: null, databaseFile: null, namespace: 'default' });
  await writeOrders(folder.path);
}, 120_000);

afterAll(async () => {
  await server.stop();
  if (mounted) execFileSync('umount', [mount]);
  folder.remove();
}, 60_000);

describe('an S3 store in trouble', () => {
  const seed = Number(process.env['CHAOS_SEED'] ?? Date.now() % 100_000);
  let s3: TestS3;
  let proxy: FlakyProxy;
  let fleet: Fleet;
  /** Past the proxy: what the store holds in truth. */
  let truth: ObjectStore;
  let gatewayUrl: string;
  let traffic: Traffic | null = null;

  beforeAll(async () => {
    s3 = await startTestS3();
    proxy = await startFlakyProxy(s3.endpoint);
    truth = createS3Store(s3.config('trouble'));
    const [port] = await freePorts(1);
    gatewayUrl = `http://127.0.0.1:${port}`;
    fleet = await startFleet({
      folder: folder.path,
      workspace: 'trouble',
      temporalAddress: server.address,
      roles: ['control', 'compute', 'gateway'],
      env: {
        SLIPWAY_STORE: 's3://slipway-test/trouble',
        SLIPWAY_S3_ENDPOINT: proxy.endpoint,
        SLIPWAY_GATEWAY_PORT: String(port),
      },
    });
  }, 120_000);

  afterAll(async () => {
    await traffic?.stop();
    await fleet.stop();
    await proxy.close();
    await s3.stop();
  }, 60_000);

  /** A seventh of all requests fails in one of the ways in which networks fail. */
  function flaky(random: () => number): (method: string) => Fate {
    return (method) => {
      const roll = random();
      if (roll < 0.05) return 'answer-503';
      if (roll < 0.08) return 'lose-request';
      if (roll < 0.13) return method === 'GET' ? 'cut-reply' : 'lose-reply';
      return 'pass';
    };
  }

  const onnxOf = async (version: number): Promise<string> => {
    const bytes = await truth.get(keys.releaseManifest(MODEL, version));
    return (JSON.parse(Buffer.from(bytes!).toString()) as ReleaseManifest).onnx;
  };

  async function blackout(ms: number): Promise<void> {
    const before = proxy.decide;
    proxy.decide = () => 'answer-503';
    await sleep(ms);
    proxy.decide = before;
  }

  it('I6: ends the run as without trouble, loses nothing, and callers notice nothing', async () => {
    const { client } = fleet;
    const calm = await startTiny(fleet, 'calm', { quality: false });
    await approveTiny(fleet, calm);
    expect(await client.waitForRun(MODEL, calm.run)).toMatchObject({ outcome: 'promoted', version: 1 });
    const warm = startTraffic(gatewayUrl, Date.parse(AS_OF));
    await untilSeen('an answer', async () => warm.newest());
    const warmed = await warm.stop();

    process.stdout.write(`the store fails a seventh of all requests (CHAOS_SEED=${seed})\n`);
    proxy.decide = flaky(streamOf(seed));
    traffic = startTraffic(gatewayUrl, Date.parse(AS_OF) + 3_600_000, 'trouble');
    const run = await startTiny(fleet, 'troubled', { quality: false });
    await sleep(1_000);
    await blackout(5_000);
    await approveTiny(fleet, run);
    const canary = await untilSeen('a canary', () => newestCanary(truth));
    await blackout(5_000);
    await answerCanary(truth, canary);
    expect(await untilSeen('the end', () => client.waitForRun(MODEL, run.run))).toMatchObject({
      outcome: 'promoted',
      version: 2,
    });
    await untilSeen('release 2', async () => (traffic!.newest()?.version === '2' ? true : null));
    const report = await traffic.stop();
    proxy.decide = () => 'pass';

    expect(await onnxOf(2)).toBe(await onnxOf(1));
    expect(Object.keys(report.byStatus)).toEqual(['200']);
    const { routes, entries } = await readHistory(truth, MODEL);
    expect(routes.map(({ arms }) => arms.map(({ release }) => release.version).join('+'))).toEqual(['1', '1+2', '2']);
    expect(new Set(entries.map(({ id }) => id)).size).toBe(entries.length);
    expect((await verifyAudit(truth, await loadTrust(fleet.config.trustFile), MODEL)).problems).toEqual([]);
    const answered = warmed.byStatus['200']! + report.byStatus['200']!;
    await untilSeen(
      `${answered} requests in the log`,
      async () => ((await logged()) >= answered ? true : null),
      20_000,
    );
    expect(await logged()).toBe(answered);
    process.stdout.write(
      `${report.requests} requests answered, ${entries.length} decisions, none lost or doubled; longest wait of a caller ${report.longestGapMs} ms\n`,
    );
  }, 300_000);

  /** Requests in the prediction log, without those that `answerCanary` made up. */
  async function logged(): Promise<number> {
    const reader = createPredictionReader(truth, join(folder.path, 'mirror'));
    const window = { model: MODEL, fromMs: Date.parse(AS_OF), toMs: Date.parse(AS_OF) + 86_400_000 };
    const statuses = await reader.statuses({ ...window, release: null, asOfMs: Date.now() });
    return statuses['ok'] ?? 0;
  }
});

describe('a full disk', () => {
  const whereMounted = mounted ? it : it.skip;
  let fleet: Fleet | null = null;

  afterAll(async () => {
    await fleet?.stop();
  }, 60_000);

  function fill(): void {
    const ballast = openSync(join(mount, 'ballast'), 'a');
    try {
      for (;;) writeSync(ballast, Buffer.alloc(4_096));
    } catch {
      // Full: that was the aim.
    } finally {
      closeSync(ballast);
    }
  }

  /** Codes with which the activities that are tried again failed last, as the Temporal UI shows them. */
  async function pendingCodes(config: Fleet['config'], run: StartedRun): Promise<string[]> {
    const temporal = await connectTemporal(config.temporal);
    try {
      const { raw } = await temporal.client.workflow.getHandle(run.workflowId).describe();
      return (raw.pendingActivities ?? []).map(
        ({ lastFailure }) => lastFailure?.applicationFailureInfo?.type ?? 'running',
      );
    } finally {
      await temporal.close();
    }
  }

  whereMounted(
    'is told as STORE_FULL, and the run goes on once there is space',
    async () => {
      fleet = await startFleet({
        folder: folder.path,
        workspace: 'full',
        temporalAddress: server.address,
        roles: ['control', 'compute'],
        env: { SLIPWAY_STORE: `fs:${join(mount, 'store')}` },
      });
      const { client, config, env } = fleet;
      const run = await startTiny(fleet, 'full');
      fill();
      await untilSeen('STORE_FULL', async () =>
        (await pendingCodes(config, run)).includes('STORE_FULL') ? true : null,
      );
      const another = await slipwayCli(env, folder.path, 'run', 'full.yaml', '--commit', 'another');
      expect(another).toMatchObject({ code: 6, stderr: expect.stringContaining('STORE_FULL') as string });

      rmSync(join(mount, 'ballast'));
      await approveTiny(fleet, run);
      expect(await client.waitForRun(MODEL, run.run)).toMatchObject({ outcome: 'promoted', version: 1 });
      expect((await verifyAudit(client.store, await loadTrust(config.trustFile), MODEL)).problems).toEqual([]);
    },
    180_000,
  );
});
