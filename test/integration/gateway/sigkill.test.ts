import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { keys } from '../../../workflows/domain/keys';
import type { ObservationDocument } from '../../../workflows/domain/observation';
import { nodeEntry } from '../../../infra/process/node-entry';
import { testPolicy } from '../../support/workspace';
import { GatewayFixture, inferBody, MODEL, post, until } from './fixture';
import { linearModel } from './models';

let fixture: GatewayFixture;
const children: ChildProcess[] = [];
beforeEach(() => (fixture = new GatewayFixture()));
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await fixture.dispose();
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function startProcess(port: number): Promise<ChildProcess> {
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
    SLIPWAY_LOG_LEVEL: 'error',
  };
  const child = spawn(program!, parameters, { env, stdio: ['ignore', 'inherit', 'inherit'] });
  children.push(child);
  await until(
    async () => (await fetch(`http://127.0.0.1:${port}/v2/models/${MODEL}/ready`).catch(() => null))?.status === 200,
    'the process serves',
    30_000,
  );
  return child;
}

async function allObservations(): Promise<ObservationDocument[]> {
  const found = await fixture.store.list(keys.observations(MODEL, 1));
  const documents = await Promise.all(
    found.filter((key) => key.endsWith('.json') && !key.includes('/breaker/')).map((key) => fixture.store.get(key)),
  );
  return documents.map((bytes) => JSON.parse(Buffer.from(bytes!).toString()) as ObservationDocument);
}

describe('a gateway process', () => {
  it('loses no more counts to SIGKILL under load than it says, and nothing to SIGTERM', async () => {
    const champion = await fixture.release(linearModel(1, 1));
    const challenger = await fixture.release(linearModel(1, 2));
    await fixture.route(champion, { release: challenger, weight: 0.5 }, { paired: true });
    const port = await freePort();
    const killed = await startProcess(port);
    await post(`http://127.0.0.1:${port}`, inferBody([1], { id: 'sticky' }));
    let answered = 1;
    let sent = 1;
    const load = Array.from({ length: 8 }, async (_, caller) => {
      for (;;) {
        sent += 1;
        const answer = await post(
          `http://127.0.0.1:${port}`,
          inferBody([1], { id: `key-${caller}-${sent % 50}` }),
        ).catch(() => null);
        if (answer === null) return;
        expect(answer.body.outputs[0]!.data[0]).toBe(1 + Number(answer.body.model_version));
        answered += 1;
      }
    });
    await until(() => answered > 1_000, 'some answers');
    killed.kill('SIGKILL');
    await Promise.all(load);
    const restarted = await startProcess(port);
    await until(
      async () =>
        (await allObservations()).some(({ updatedAt, arms }) => updatedAt !== '' && (arms.champion?.requests ?? 0) > 0),
      'old counts are published',
    );
    const answeredBefore = answered;
    await until(async () => {
      const [old] = await allObservations();
      return (
        (old?.arms.champion?.requests ?? 0) + (old?.arms.challenger?.requests ?? 0) + (old?.lostAtMost ?? 0) >=
        answeredBefore
      );
    }, 'all answers of the killed process are counted');
    const [old] = await allObservations();
    expect((old!.arms.champion?.requests ?? 0) + (old!.arms.challenger?.requests ?? 0)).toBeLessThanOrEqual(sent);
    // A key that was met before the kill is known after it: the restarted process counts its request and not the key.
    for (const id of ['sticky', 'key-new'])
      expect((await post(`http://127.0.0.1:${port}`, inferBody([1], { id }))).status).toBe(200);
    restarted.kill('SIGTERM');
    const code = await new Promise((resolve) => restarted.once('exit', resolve));
    expect(code).toBe(0);
    const documents = await allObservations();
    const last = documents.find(({ incarnation }) => incarnation !== old!.incarnation)!;
    const both = [last.arms.champion, last.arms.challenger];
    expect(both.reduce((sum, arm) => sum + (arm?.requests ?? 0), 0)).toBe(2);
    expect(both.reduce((sum, arm) => sum + (arm?.keys ?? 0), 0)).toBe(1);
    expect((await fixture.store.list(keys.predictions(MODEL))).length).toBeGreaterThan(1);
  });
});
