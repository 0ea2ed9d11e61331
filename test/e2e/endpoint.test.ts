import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type LocalServer, startLocalServer } from '../../infra/temporal/local-server';
import { ensureTool } from '../../infra/tools/ensure-tool';
import { ModelServer, sendJson, type Reaction } from '../support/model-server';
import { freePorts } from '../support/ports';
import { type CliEnded, slipwayCli } from '../support/slipway-cli';
import { temporaryFolder } from '../support/temporary-folder';
import { AS_OF, MODEL, tinySpec, writeOrders } from '../support/tiny-shop';
import { untilSeen } from '../support/until';
import { type Fleet, startFleet } from '../support/worker-fleet';

const folder = temporaryFolder('endpoint-lifecycle');
let temporal: LocalServer;
let model: ModelServer;
let fleet: Fleet;
let shift = 0;

/** Two services of the same team: the old answers p = price / 1000, the new one adds something to it. */
const service: Reaction = ({ path, body }, response) => {
  const { instances } = JSON.parse(body.toString()) as { instances: { price: number; land: string }[] };
  const extra = path === '/new' ? 0.125 + shift : 0;
  sendJson(
    response,
    instances.map(({ price, land }) => ({ probability: land === 'DE' ? price / 1_000 + extra : extra })),
  );
};

const endpointFile = (path: string): string => `endpoint: returns-service
protocol: json
path: ${path}
check: { every: 1s, consecutive: 2 }
request: { rename: { country: land } }
answer: { scores: '', column: probability }
`;

beforeAll(async () => {
  const [port, gatewayPort] = await freePorts(2);
  const binary = await ensureTool('temporal-cli', () => undefined);
  temporal = await startLocalServer({ binary, port: port!, uiPort: null, databaseFile: null, namespace: 'default' });
  model = await new ModelServer(service).start();
  await writeOrders(folder.path);
  const write = (name: string, text: string): void => writeFileSync(join(folder.path, name), text);
  write('model.yaml', tinySpec({ clock: 'wall', quality: false }));
  write('old.yaml', endpointFile('/old'));
  write('new.yaml', endpointFile('/new'));
  write('endpoints.yaml', `endpoints:\n  returns-service: { origin: "${model.origin}" }\n`);
  fleet = await startFleet({
    folder: folder.path,
    workspace: 'in-front',
    temporalAddress: temporal.address,
    roles: ['control', 'compute', 'gateway'],
    env: {
      SLIPWAY_GATEWAY_PORT: String(gatewayPort),
      SLIPWAY_ENDPOINTS_FILE: join(folder.path, 'endpoints.yaml'),
    },
  });
}, 180_000);

afterAll(async () => {
  await fleet.stop();
  await temporal.stop();
  await model.stop();
  folder.remove();
}, 60_000);

const slipway = (...args: string[]): Promise<CliEnded> => slipwayCli(fleet.env, folder.path, ...args);

async function json<T>(...args: string[]): Promise<T> {
  const ended = await slipway(...args, '--json');
  expect({ args, code: ended.code, stderr: ended.stderr }).toEqual({ args, code: 0, stderr: '' });
  return JSON.parse(ended.stdout) as T;
}

async function importAndApprove(file: string): Promise<string> {
  const options = ['--spec', 'model.yaml', '--as-of', AS_OF, '--commit', file];
  const { run } = await json<{ run: string }>('release', 'import', '--endpoint', file, ...options);
  await untilSeen('a release to approve', async () =>
    (await fleet.client.runStatus(MODEL, run)).stage === 'awaiting-approval' ? true : null,
  );
  await json('approve', MODEL, '--key', 'approver-1');
  return run;
}

async function predict(): Promise<{ version: string; arm: string; scores: number[] }> {
  const row = JSON.stringify({ price: 250, country: 'DE' });
  return untilSeen('an answer', async () => {
    const asked = await slipway('predict', MODEL, '--input', row, '--json');
    return asked.code === 0 ? (JSON.parse(asked.stdout) as Awaited<ReturnType<typeof predict>>) : null;
  });
}

describe('a service that exists', () => {
  it('is checked by one row before anything is begun', async () => {
    const input = '{"price": 250, "country": "DE"}';
    expect(await json('endpoint', 'check', 'old.yaml', '--spec', 'model.yaml', '--input', input)).toMatchObject({
      endpoint: 'returns-service',
      origin: model.origin,
      path: '/old',
      score: 0.25,
    });
    const wrong = await slipway(
      'endpoint',
      'check',
      'old.yaml',
      '--spec',
      'model.yaml',
      '--input',
      '{"price": "high"}',
    );
    expect([wrong.code, wrong.stderr]).toEqual([
      2,
      expect.stringContaining('price takes FP32, not a string') as string,
    ]);
  }, 60_000);

  it('goes through gates and approval, and is served by the gateway in front of it', async () => {
    const run = await importAndApprove('old.yaml');
    expect(await fleet.client.waitForRun(MODEL, run)).toMatchObject({ outcome: 'promoted', version: 1 });
    expect(await predict()).toMatchObject({ version: '1', arm: 'champion', scores: [0.25] });
    const { manifest } = await json<{ manifest: { kind: string; modelCard: never } }>('release', 'show', MODEL, '1');
    expect(manifest.kind).toBe('endpoint');
    const card = Buffer.from(await fleet.client.blobs.get(manifest.modelCard)).toString();
    expect(card).toContain('This release is an external endpoint returns-service (json).');
    expect(model.countOf('holdout')).toBeGreaterThan(0);
  }, 120_000);

  it('is taken back from its canary when it no longer answers as it was approved', async () => {
    const run = await importAndApprove('new.yaml');
    await untilSeen('a canary that answers', async () => ((await predict()).arm === 'challenger' ? true : null));
    shift = 0.25;
    const result = await fleet.client.waitForRun(MODEL, run);
    expect(result).toMatchObject({ outcome: 'rolled-back', version: 2, code: 'ROLLOUT_FAILED' });
    expect(result.detail).toContain('the endpoint returns-service does not answer as it was approved');
    expect(await predict()).toMatchObject({ version: '1', arm: 'champion', scores: [0.25] });
    expect((await json<{ problems: unknown[] }>('audit', 'verify', MODEL)).problems).toEqual([]);
  }, 180_000);
});
