import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { type LocalServer, startLocalServer } from '../../infra/temporal/local-server';
import { ensureTool } from '../../infra/tools/ensure-tool';
import { streamOf } from '../../infra/onnx/random';
import type { StartedRun } from '../../client/runs';
import { keys } from '../../workflows/domain/keys';
import type { ReleaseManifest } from '../../workflows/domain/release';
import { freePorts } from '../support/ports';
import { temporaryFolder } from '../support/temporary-folder';
import { MODEL, startTiny, writeOrders } from '../support/tiny-shop';
import { untilSeen } from '../support/until';
import { type Fleet, startFleet } from '../support/worker-fleet';

const EPOCHS = 150;
/** A checkpoint is kept after each epoch. */
const TRAINER = `{ kind: mlp, hidden: [32, 16], embedding: 4, epochs: ${EPOCHS}, batchSize: 4, patience: 0 }`;
/** On a calm machine; the time that it took is printed, and a busy one gets twice as long. */
const GOES_ON_WITHIN_MS = 15_000;

const folder = temporaryFolder('training-kill');
const seed = Number(process.env['CHAOS_SEED'] ?? Date.now() % 100_000);
const random = streamOf(seed);
let server: LocalServer;
let fleet: Fleet;
let calm: ReleaseManifest;

beforeAll(async () => {
  const [port] = await freePorts(1);
  const binary = await ensureTool('temporal-cli', () => undefined);
  server = await startLocalServer({ binary, port: port!, uiPort: null, databaseFile: null, namespace: 'default' });
  await writeOrders(folder.path);
  fleet = await startFleet({
    folder: folder.path,
    workspace: 'training',
    temporalAddress: server.address,
    roles: ['control', 'compute', 'gpu'],
    // The time-outs of production: how soon a killed trainer is noticed is what is tried.
    env: { SLIPWAY_TIMEOUT_DIVISOR: '1' },
  });
  const startedMs = Date.now();
  calm = await manifestOf(await train('calm'));
  process.stdout.write(`undisturbed in ${((Date.now() - startedMs) / 1000).toFixed(1)} s (CHAOS_SEED=${seed})\n`);
}, 180_000);

afterAll(async () => {
  await fleet.stop();
  await server.stop();
  folder.remove();
}, 60_000);

function train(name: string): Promise<StartedRun> {
  return startTiny(fleet, name, { seed: 7, queue: 'gpu', trainer: TRAINER });
}

async function manifestOf({ run }: StartedRun): Promise<ReleaseManifest> {
  const release = await untilSeen('a release', async () => (await fleet.client.runStatus(MODEL, run)).release);
  const bytes = await fleet.client.store.get(keys.releaseManifest(MODEL, release.version));
  return JSON.parse(Buffer.from(bytes!).toString()) as ReleaseManifest;
}

const checkpointsOf = ({ run }: StartedRun): Promise<string[]> => fleet.client.store.list(keys.checkpoints(MODEL, run));

/** The trainer's own process, found by its program and by the workspace it works in. */
function trainerPid(): number | null {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const mine = pids.filter((pid) => {
    try {
      const isNode = readlinkSync(`/proc/${pid}/exe`) === process.execPath;
      const isTrainer = isNode && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('builtin-child');
      return isTrainer && readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`SLIPWAY_INPUT=${fleet.config.home}`);
    } catch {
      return false;
    }
  });
  return mine.length === 0 ? null : Number(mine[0]);
}

/** Kills at a moment that the seed chooses; says how long it took until training went on. */
async function killAndWait(run: StartedRun, kill: () => void): Promise<number> {
  const before = await checkpointsOf(run);
  const enough = before.length + 2 + Math.floor(random() * 20);
  await untilSeen(`checkpoint ${enough}`, async () => ((await checkpointsOf(run)).length >= enough ? true : null));
  const killed = trainerPid();
  kill();
  const killedMs = Date.now();
  await untilSeen('another trainer', async () => ([null, killed].includes(trainerPid()) ? null : true));
  const kept = (await checkpointsOf(run)).length;
  await untilSeen('its first checkpoint', async () => ((await checkpointsOf(run)).length > kept ? true : null));
  return Date.now() - killedMs;
}

describe('a training that is SIGKILLed', () => {
  it.each([
    ['its worker', () => void fleet.kill('gpu')],
    ['its own process', () => void process.kill(trainerPid()!, 'SIGKILL')],
  ])(
    'I6: goes on within 15 s and gives the model of an undisturbed run: %s',
    async (what, kill) => {
      const run = await train(`killed-${what.split(' ')[1]}`);
      const took = [await killAndWait(run, kill), await killAndWait(run, kill)];
      process.stdout.write(`${what} killed twice: went on after ${took.map((ms) => `${ms} ms`).join(' and ')}\n`);
      const disturbed = await manifestOf(run);
      const { story } = await fleet.client.runStatus(MODEL, run.run);
      expect(story.map(({ text }) => text).join()).toMatch(/taken up again at epoch [1-9]/);
      expect(disturbed.onnx).toBe(calm.onnx);
      expect(disturbed.version).not.toBe(calm.version);
      for (const ms of took) expect(ms).toBeLessThan(2 * GOES_ON_WITHIN_MS);
    },
    180_000,
  );
});
