import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { nodeEntry } from '../../../infra/process/node-entry';
import type { GatewayHeartbeat } from '../../../workflows/domain/gateway';
import { keys } from '../../../workflows/domain/keys';
import type { ObservationDocument } from '../../../workflows/domain/observation';
import { testPolicy } from '../../support/workspace';
import { GatewayFixture, inferBody, MODEL, until } from './fixture';
import { linearModel } from './models';

const SLOWLY_MS = 40_000;
let fixture: GatewayFixture;
let fleet: ChildProcess | null = null;
beforeEach(() => (fixture = new GatewayFixture()));
afterEach(async () => {
  if (fleet && fleet.exitCode === null) {
    const ended = new Promise((resolve) => fleet!.once('exit', resolve));
    fleet.kill('SIGTERM');
    await ended;
  }
  fleet = null;
  await fixture.dispose();
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function startFleet(port: number, processes: number): Promise<ChildProcess> {
  const state = join(fixture.home, 'state');
  await mkdir(join(state, 'dev'), { recursive: true });
  await writeFile(join(state, 'dev', 'trust.json'), JSON.stringify(testPolicy()));
  const [program, ...parameters] = nodeEntry(join(__dirname, '../../../workers/gateway/main.ts'));
  const env = {
    ...process.env,
    SLIPWAY_STATE: state,
    SLIPWAY_STORE: `fs:${fixture.storeRoot}`,
    SLIPWAY_GATEWAY_PORT: String(port),
    SLIPWAY_GATEWAY_POLL_MS: '100',
    SLIPWAY_GATEWAY_PROCESSES: String(processes),
    SLIPWAY_LOG_LEVEL: 'silent',
  };
  return spawn(program!, parameters, { env, stdio: ['ignore', 'inherit', 'inherit'] });
}

async function heartbeat(member: number): Promise<GatewayHeartbeat | null> {
  const bytes = await fixture.store.get(keys.gateway(`gateway-1-${member}`));
  return bytes && (JSON.parse(Buffer.from(bytes).toString()) as GatewayHeartbeat);
}

/** Serving the model, and a process that is not `except`. */
async function pidOf(member: number, except = 0): Promise<number> {
  let found: GatewayHeartbeat | null = null;
  await until(
    async () => {
      found = await heartbeat(member);
      return found !== null && found.pid !== except && found.models[MODEL] !== undefined;
    },
    `process ${member} serves`,
    SLOWLY_MS,
  );
  return found!.pid;
}

/** One caller with one connection of its own. */
function ask(agent: Agent, port: number, id: string, distance: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const path = `/v2/models/${MODEL}/infer`;
    const asked = request({ agent, port, path, method: 'POST', host: '127.0.0.1' }, (response) => {
      let text = '';
      response.on('data', (part: Buffer) => (text += part.toString()));
      response.on('error', reject);
      response.on('end', () => {
        const body = JSON.parse(text) as { outputs?: { data: number[] }[] };
        if (body.outputs) resolve(body.outputs[0]!.data[0]!);
        else reject(new Error(text));
      });
    });
    asked.on('error', reject);
    asked.end(inferBody([distance], { id }));
  });
}

async function requestsCounted(): Promise<number> {
  const found = await fixture.store.list(keys.observations(MODEL, 1));
  const documents = await Promise.all(
    found.filter((key) => key.endsWith('.json') && !key.includes('/breaker/')).map((key) => fixture.store.get(key)),
  );
  return documents
    .map((bytes) => JSON.parse(Buffer.from(bytes!).toString()) as ObservationDocument)
    .reduce((sum, { arms }) => sum + (arms.champion?.requests ?? 0), 0);
}

describe('several gateway processes on one port', () => {
  it('lose what one that is killed had under way, start it again, count everything, and drain together', async () => {
    await fixture.route(await fixture.release(linearModel(2, 0)));
    const port = await freePort();
    fleet = await startFleet(port, 2);
    const pids = [await pidOf(1), await pidOf(2)];
    expect(pids[0]).not.toBe(pids[1]);

    const callers = 8;
    const failures = Array<number>(callers).fill(0);
    let [answered, sent, isOver] = [0, 0, false];
    const load = Array.from({ length: callers }, async (_, caller) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      while (!isOver) {
        sent += 1;
        const distance = sent % 1_000;
        try {
          expect(await ask(agent, port, `${caller}-${sent}`, distance)).toBe(2 * distance);
          answered += 1;
        } catch (error) {
          if (!('code' in (error as Error))) throw error;
          failures[caller]! += 1;
        }
      }
      agent.destroy();
    });
    await until(() => answered > 300, 'some answers', SLOWLY_MS);
    process.kill(pids[0]!, 'SIGKILL');
    const atKill = answered;
    const again = await pidOf(1, pids[0]);
    await until(() => answered > atKill + 300, 'others go on', SLOWLY_MS);
    const page = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    isOver = true;
    await Promise.all(load);

    expect(again).not.toBe(pids[1]);
    // At most the one request that each caller had under way there.
    expect(failures.filter((count) => count > 1)).toEqual([]);
    for (const member of [1, 2]) expect(page).toContain(`process="gateway-1-${member}"`);
    expect(page.match(/^# TYPE slipway_gateway_requests_total /gm)).toHaveLength(1);

    const ended = new Promise((resolve) => fleet!.once('exit', resolve));
    fleet.kill('SIGTERM');
    expect(await ended).toBe(0);
    const counted = await requestsCounted();
    expect(counted).toBeGreaterThanOrEqual(answered);
    expect(counted).toBeLessThanOrEqual(sent);
    expect((await heartbeat(2))!.draining).toBe(true);
  }, 120_000);

  it('end with the reason of the processes when none of them can start', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    fleet = await startFleet((taken.address() as AddressInfo).port, 2);
    expect(await new Promise((resolve) => fleet!.once('exit', resolve))).toBe(6);
    await new Promise((resolve) => taken.close(resolve));
  }, 120_000);
});
