import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createRoutingActivities } from '../../../activities/routing/routing';
import type { ObjectStore } from '../../../infra/object-store/port';
import { createReleaseRegistry } from '../../../infra/releases/registry';
import { createRouteReader } from '../../../infra/routes/reader';
import { followTrust, type FollowedTrust } from '../../../infra/signing/follow-trust';
import type { TrustedKey, WorkspacePolicy } from '../../../infra/signing/port';
import { silentLogger } from '../../../infra/telemetry/log';
import type { Gateway } from '../../../workers/gateway/gateway';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { GatewayHeartbeat } from '../../../workflows/domain/gateway';
import { keys } from '../../../workflows/domain/keys';
import { testKeys, testPolicy } from '../../support/workspace';
import { GatewayFixture, inferBody, MODEL, post, ready, until } from './fixture';
import { linearModel } from './models';

const now = (): string => new Date().toISOString();
const compromised = (): Partial<TrustedKey> => ({ revoked: { at: now(), reason: 'compromised' } });

let fixture: GatewayFixture;
let errors: Readonly<Record<string, unknown>>[];
beforeEach(() => {
  fixture = new GatewayFixture();
  mkdirSync(fixture.home, { recursive: true });
  list(testPolicy());
  errors = [];
});
afterEach(() => fixture.dispose());

const trustFile = (): string => join(fixture.home, 'trust.json');

/** Replaces the trust file under the processes that follow it. */
function list(policy: WorkspacePolicy): void {
  writeFileSync(`${trustFile()}.new`, JSON.stringify(policy));
  renameSync(`${trustFile()}.new`, trustFile());
}

const follow = (): FollowedTrust => followTrust(trustFile(), { logger: silentLogger, everyMs: 50 });

async function start(changes: { store?: ObjectStore } = {}): Promise<Gateway> {
  const logger = { ...silentLogger, error: (fields: Readonly<Record<string, unknown>>) => errors.push(fields) };
  const gateway = await fixture.start({ pollMs: 50, trust: follow(), logger, ...changes });
  await ready(gateway);
  return gateway;
}

async function served(gateway: Gateway, requests = 40): Promise<readonly string[]> {
  const answers = await Promise.all(
    Array.from({ length: requests }, () => post(gateway.url, inferBody([1])).then(({ body }) => body)),
  );
  return [...new Set(answers.map(({ code, model_version: version }) => code ?? version))].sort();
}

/** The lines of the metric that pages. */
async function pages(gateway: Gateway): Promise<string[]> {
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  return text.split('\n').filter((line) => line.startsWith('slipway_key_compromised_in_use{'));
}

async function heartbeat(): Promise<GatewayHeartbeat> {
  return JSON.parse(Buffer.from((await fixture.store.get(keys.gateway('gateway-1')))!).toString()) as GatewayHeartbeat;
}

describe('a gateway whose trust file changes', () => {
  it('I2: stops a champion whose approval rests on a key that is now compromised, and pages', async () => {
    const approved = await fixture.release(linearModel(1, 1), undefined, MODEL, [testKeys.ana]);
    const other = await fixture.release(linearModel(1, 2), undefined, MODEL, [testKeys.ben]);
    await fixture.route(other);
    await fixture.route(approved);
    const gateway = await start();
    expect([await served(gateway), await pages(gateway)]).toEqual([['1'], []]);
    list(testPolicy({}, { ana: compromised() }));
    await until(async () => (await served(gateway, 1))[0] === 'MODEL_NOT_READY', 'it serves no more');
    expect((await post(gateway.url, inferBody([1]))).body.error).toContain('KEY_REVOKED');
    expect(await pages(gateway)).toEqual([`slipway_key_compromised_in_use{model="${MODEL}",process="gateway"} 1`]);
    expect(errors.map(({ model, compromisedKey }) => [model, compromisedKey])).toEqual([[MODEL, testKeys.ana.keyId]]);
    // It stays out at every poll, and after a restart; a rollback to a release of other people serves again.
    await fixture.stop(gateway);
    const restarted = await fixture.start({ pollMs: 50, trust: follow() });
    await until(async () => (await pages(restarted)).length === 1, 'the restarted gateway pages too');
    expect(await served(restarted)).toEqual(['MODEL_NOT_READY']);
    await fixture.route(other);
    await until(async () => (await served(restarted, 1))[0] === '2', 'the rollback serves');
    expect(await pages(restarted)).toEqual([]);
  });

  it('I2: takes a challenger out whose key is compromised, serves the champion on, and takes it back when unlisted', async () => {
    const champion = await fixture.release(linearModel(1, 1), undefined, MODEL, [testKeys.ben]);
    const challenger = await fixture.release(linearModel(1, 2), undefined, MODEL, [testKeys.ana]);
    await fixture.route(champion, { release: challenger, weight: 0.5 });
    const gateway = await start();
    expect(await served(gateway)).toEqual(['1', '2']);
    list(testPolicy({}, { ana: compromised() }));
    await until(async () => (await pages(gateway)).length === 1, 'it pages');
    expect(await served(gateway)).toEqual(['1']);
    await until(
      async () => (await heartbeat()).models[MODEL]?.problem?.code === 'KEY_REVOKED',
      'the heartbeat says so',
    );
    expect((await heartbeat()).models[MODEL]).toMatchObject({ generation: 1, challenger: null });
    // A gateway that starts now serves the champion of the same route.
    await fixture.stop(gateway);
    const restarted = await fixture.start({ pollMs: 50, trust: follow() });
    await until(async () => (await pages(restarted)).length === 1, 'the restarted gateway pages too');
    expect(await served(restarted)).toEqual(['1']);
    list(testPolicy());
    await until(async () => (await served(restarted)).length === 2, 'the challenger is back');
    expect(await pages(restarted)).toEqual([]);
  });

  it('I2: stops everything that a compromised control key signed, though the store is away', async () => {
    await fixture.route(await fixture.release(linearModel(1, 1)));
    let isAway = false;
    const store = new Proxy(fixture.store, {
      get: (target, name) =>
        isAway
          ? () => Promise.reject(new SlipwayError('STORE_UNAVAILABLE', 'taken away by the test'))
          : (Reflect.get(target, name) as unknown),
    });
    const gateway = await start({ store });
    isAway = true;
    list(testPolicy({}, { control: compromised() }));
    await until(async () => (await served(gateway, 1))[0] === 'MODEL_NOT_READY', 'it serves no more');
    expect((await pages(gateway)).length).toBe(1);
  });

  it('serves on, challenger included, when keys expire or people leave', async () => {
    const champion = await fixture.release(linearModel(1, 1), undefined, MODEL, [testKeys.ben]);
    const challenger = await fixture.release(linearModel(1, 2), undefined, MODEL, [testKeys.ana]);
    await fixture.route(champion, { release: challenger, weight: 0.5 });
    const gateway = await start();
    const trust = follow();
    const left: Partial<TrustedKey> = { revoked: { at: now(), reason: 'left' } };
    const policy = testPolicy({}, { control: { expiresAt: now() }, ana: left, ben: left });
    list(policy);
    await until(() => trust.policy.keys.some(({ revoked }) => revoked !== null), 'the file is taken');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await served(gateway)).toEqual(['1', '2']);
    expect([await pages(gateway), errors]).toEqual([[], []]);
  });

  it('serves the champion on when a key is only taken out of the file, leaves the challenger out, and says so', async () => {
    const champion = await fixture.release(linearModel(1, 1), undefined, MODEL, [testKeys.ana]);
    const challenger = await fixture.release(linearModel(1, 2), undefined, MODEL, [testKeys.ana]);
    await fixture.route(champion, { release: challenger, weight: 0.5 });
    const gateway = await start();
    expect(await served(gateway)).toEqual(['1', '2']);
    const policy = testPolicy();
    list({ ...policy, keys: policy.keys.filter(({ keyId }) => keyId !== testKeys.ana.keyId) });
    await until(
      async () => (await heartbeat()).models[MODEL]?.problem?.code === 'RELEASE_UNAPPROVED',
      'the heartbeat says so',
    );
    expect(await served(gateway)).toEqual(['1']);
    expect(await pages(gateway)).toEqual([]);
  });

  it('serves on under the last good policy while the file is invalid', async () => {
    await fixture.route(await fixture.release(linearModel(1, 1)));
    const gateway = await start();
    writeFileSync(trustFile(), '{');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await served(gateway)).toEqual(['1']);
    list(testPolicy({}, { control: compromised() }));
    await until(async () => (await served(gateway, 1))[0] === 'MODEL_NOT_READY', 'the next good file counts');
  });

  it('does not let a newer route by a compromised key touch what serves', async () => {
    await fixture.route(await fixture.release(linearModel(1, 1)));
    const gateway = await start();
    expect(await served(gateway)).toEqual(['1']);
    // Ana's key is in no way part of the first release; the second rests on it.
    const second = await fixture.release(linearModel(1, 2), undefined, MODEL, [testKeys.ana]);
    list(testPolicy({}, { ana: compromised() }));
    await fixture.route(second);
    await until(async () => (await pages(gateway)).length === 1, 'it pages');
    expect(await served(gateway)).toEqual(['1']);
    await until(
      async () => (await heartbeat()).models[MODEL]?.problem?.code === 'KEY_REVOKED',
      'the heartbeat says so',
    );
    expect((await heartbeat()).models[MODEL]).toMatchObject({ generation: 1 });
  });
});

describe('the control plane', () => {
  it('refuses a release, to promote and to serve, once a key under it is listed as compromised', async () => {
    const release = await fixture.release(linearModel(1, 1), undefined, MODEL, [testKeys.ana]);
    const { store, blobs, audit, signer } = fixture.workspace;
    const trust = follow();
    const registry = createReleaseRegistry({ store, blobs, trust, audit });
    const reader = createRouteReader({ store, trust, audit });
    const { verifyServable, prepareRollout } = createRoutingActivities({
      store,
      blobs,
      trust,
      audit,
      signer,
      registry,
      reader,
    });
    expect(await verifyServable({ release })).toEqual({ ok: true });
    list(testPolicy({}, { ana: compromised() }));
    await until(() => trust.policy.keys.some(({ revoked }) => revoked !== null), 'the file is taken');
    expect(await verifyServable({ release })).toMatchObject({ ok: false, code: 'KEY_REVOKED' });
    const rollout = { model: MODEL, release, run: null, champion: null, attempt: 1 };
    expect(await prepareRollout(rollout)).toMatchObject({ accepted: false, code: 'KEY_REVOKED' });
  });
});
