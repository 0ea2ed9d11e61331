import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type LocalServer, startLocalServer } from '../../infra/temporal/local-server';
import { ensureTool } from '../../infra/tools/ensure-tool';
import type { Envelope } from '../../workflows/domain/envelope';
import { freePorts } from '../support/ports';
import { type CliEnded, slipwayCli } from '../support/slipway-cli';
import { temporaryFolder } from '../support/temporary-folder';
import { AS_OF, answerCanary, MODEL, newestCanary, tinySpec, writeOrders } from '../support/tiny-shop';
import { untilSeen } from '../support/until';
import { startTestS3, type TestS3 } from '../support/versitygw';
import { type Fleet, startFleet } from '../support/worker-fleet';

const run = promisify(execFile);
const folder = temporaryFolder('lifecycle');
let server: LocalServer;
let temporal: string;
let s3: TestS3;

beforeAll(async () => {
  const [port] = await freePorts(1);
  temporal = await ensureTool('temporal-cli', () => undefined);
  server = await startLocalServer({
    binary: temporal,
    port: port!,
    uiPort: null,
    databaseFile: null,
    namespace: 'default',
  });
  s3 = await startTestS3();
  await writeOrders(folder.path);
}, 120_000);

afterAll(async () => {
  await s3.stop();
  await server.stop();
  folder.remove();
}, 60_000);

describe.each(['fs', 's3'] as const)('a lifecycle by the command line, on %s', (store) => {
  let fleet: Fleet;
  const runs: string[] = [];

  beforeAll(async () => {
    const [port] = await freePorts(1);
    const s3Settings = { SLIPWAY_STORE: 's3://slipway-test/lifecycle', SLIPWAY_S3_ENDPOINT: s3.endpoint };
    fleet = await startFleet({
      folder: folder.path,
      workspace: `by-hand-${store}`,
      temporalAddress: server.address,
      roles: ['control', 'compute', 'gateway'],
      env: { SLIPWAY_GATEWAY_PORT: String(port), ...(store === 's3' ? s3Settings : {}) },
    });
  }, 60_000);
  afterAll(() => fleet.stop(), 60_000);

  const slipway = (...args: string[]): Promise<CliEnded> => slipwayCli(fleet.env, folder.path, ...args);

  /** The result of a command that must work, from its JSON. */
  async function json<T>(...args: string[]): Promise<T> {
    const ended = await slipway(...args, '--json');
    expect({ args, code: ended.code, stderr: ended.stderr }).toEqual({ args, code: 0, stderr: '' });
    return JSON.parse(ended.stdout) as T;
  }

  async function start(seed: number, approvals: number): Promise<string> {
    const file = `${store}-${seed}.yaml`;
    writeFileSync(join(folder.path, file), tinySpec({ seed, approvals }));
    const started = await json<{ run: string; joined: boolean }>('run', file, '--as-of', AS_OF, '--commit', `c${seed}`);
    expect(started.joined).toBe(false);
    runs.push(started.run);
    return started.run;
  }

  const stageOf = async (id: string): Promise<string> => (await fleet.client.runStatus(MODEL, id)).stage;
  const untilWaiting = (id: string) =>
    untilSeen('a release to approve', async () => ((await stageOf(id)) === 'awaiting-approval' ? true : null));

  it('begins with a spec that init writes and spec check explains', async () => {
    await json('init', `new-${store}`, '--model', 'retail/churn', '--data', 'rows.parquet');
    const explained = await slipway('spec', 'check', join(`new-${store}`, 'model.yaml'));
    expect(explained).toMatchObject({ code: 0, stdout: expect.stringContaining('retail/churn') as string });
  });

  it('trains, waits for two people, and serves: one approves by update, one by the printed signal', async () => {
    const id = await start(1, 2);
    await untilWaiting(id);
    const own = await slipway('approve', MODEL, '--key', 'developer');
    expect(own).toMatchObject({ code: 4 });
    await json('approve', MODEL, '--key', 'approver-1', '--comment', 'read the gates');
    const again = await slipway('approve', MODEL, '--key', 'approver-1');
    expect(`${again.stdout}${again.stderr}`).toContain('APPROVAL_DUPLICATE');

    type Printed = { command: string; workflowId: string; signal: string; input: Envelope };
    const printed = await json<Printed>('approve', MODEL, '--key', 'approver-2', '--print-signal');
    // What is printed is what a shell takes, with the program where it lies here.
    await run('sh', ['-c', printed.command.replace(/^temporal/, `'${temporal}'`)]);
    expect(await fleet.client.waitForRun(MODEL, id)).toMatchObject({ outcome: 'promoted', version: 1 });
    const status = await json<{ deployment: { champion: { version: number } } }>('status', MODEL);
    expect(status.deployment.champion.version).toBe(1);
    const late = await slipway('approve', MODEL, '--key', 'approver-1', '--run', id);
    expect(`${late.stdout}${late.stderr}`).toContain('APPROVAL_LATE');
    expect(late.code).toBe(4);
  }, 120_000);

  it('answers predictions through the gateway', async () => {
    const row = JSON.stringify({ price: 12.5, country: 'FR' });
    const ask = () => slipway('predict', MODEL, '--input', row, '--event-time', String(Date.parse(AS_OF)), '--json');
    const ended = await untilSeen('an answer', async () => {
      const asked = await ask();
      return asked.code === 0 ? asked : null;
    });
    const prediction = JSON.parse(ended.stdout) as { version: string; scores: number[] };
    expect(prediction.version).toBe('1');
    expect(prediction.scores[0]).toBeGreaterThan(0);
    expect(prediction.scores[0]).toBeLessThan(1);
  }, 60_000);

  it('joins a run that exists, and takes a second release through a canary', async () => {
    const id = await start(2, 1);
    const joined = await json<{ run: string; joined: boolean }>(
      'run',
      `${store}-2.yaml`,
      '--as-of',
      AS_OF,
      '--commit',
      'c2',
    );
    expect(joined).toMatchObject({ run: id, joined: true });
    await untilWaiting(id);
    await json('approve', MODEL, '--key', 'approver-2');
    await answerCanary(fleet.client.store, await untilSeen('a canary', () => newestCanary(fleet.client.store)));
    expect(await fleet.client.waitForRun(MODEL, id)).toMatchObject({ outcome: 'promoted', version: 2 });
  }, 120_000);

  it('I4: rolls back by one command, and the history says who, when and why', async () => {
    const receipt = await json<{ accepted: boolean }>('rollback', MODEL, '--reason', 'complaints');
    expect(receipt.accepted).toBe(true);
    type Step = { generation: number; arms: { release: { version: number } }[]; actor: string; reason: string };
    const history = await json<Step[]>('history', MODEL);
    expect(history.map(({ arms }) => arms.map(({ release }) => release.version).join('+'))).toEqual([
      '1',
      '1+2',
      '2',
      '1',
    ]);
    expect(history.at(-1)).toMatchObject({ actor: 'person:developer' });
    expect(history.at(-1)!.reason).toContain('complaints');
  }, 60_000);

  it('I7: leaves a log that verifies, and that names everyone who decided', async () => {
    const verified = await json<{ problems: unknown[]; entries: number }>('audit', 'verify', MODEL);
    expect(verified.problems).toEqual([]);
    const approvals = await json<{ actor: string }[]>('audit', 'list', MODEL, '--kind', 'approval.recorded');
    expect(approvals.map(({ actor }) => actor)).toEqual(['person:ana', 'person:ben', 'person:ben']);
    const refused = await json<{ data: { code: string } }[]>('audit', 'list', MODEL, '--kind', 'approval.refused');
    expect(refused.map(({ data }) => data.code)).toEqual(['ROLE_MISSING', 'APPROVAL_DUPLICATE']);
    const listed = await json<{ runs: { request: { run: string }; result: { outcome: string } }[] }>('status', MODEL);
    expect(listed.runs.map(({ request, result }) => `${request.run} ${result.outcome}`).sort()).toEqual(
      runs.map((id) => `${id} promoted`).sort(),
    );
  }, 60_000);
});
