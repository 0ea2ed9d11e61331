import { join } from 'node:path';
import type { StartedRun, StartRunOptions } from '../../client/runs';
import { verifyAudit } from '../../infra/audit/verify';
import { readHistory } from '../../infra/audit/history';
import { loadTrust } from '../../infra/signing/trust';
import { keys } from '../../workflows/domain/keys';
import type { ReleaseManifest } from '../../workflows/domain/release';
import type { ImportedModel } from '../../workflows/domain/run';
import {
  answerCanary,
  approveTiny,
  MODEL,
  newestCanary,
  startTiny,
  tinySpec,
  type TinySpecOptions,
} from '../support/tiny-shop';
import { untilSeen } from '../support/until';
import { parseSpec } from '../../infra/spec/parse';
import type { Fleet } from '../support/worker-fleet';

/** What must be the same whatever was killed on the way. */
export interface Outcome {
  readonly outcomes: readonly string[];
  readonly receipts: readonly string[];
  readonly releases: readonly string[];
  readonly onnx: readonly string[];
  readonly routes: readonly string[];
  readonly approvals: readonly number[];
  readonly auditKinds: readonly string[];
  readonly auditIds: readonly string[];
  readonly problems: readonly unknown[];
}

/**
 * Four lifecycles that use every activity: a first release; a second one through a canary; a rollback and a divert; an import whose
 * approval expires; an import that is cancelled while it is on trial.
 */
export async function playScenario(fleet: Fleet): Promise<Outcome> {
  const { client } = fleet;
  const runs: StartedRun[] = [];
  const begin = async (
    name: string,
    spec: TinySpecOptions,
    more: Partial<StartRunOptions> = {},
  ): Promise<StartedRun> => {
    const run = await startTiny(fleet, name, spec, more);
    runs.push(run);
    return run;
  };
  const first = await begin('first', { seed: 1 });
  await approveTiny(fleet, first);
  await client.waitForRun(MODEL, first.run);

  const second = await begin('second', { seed: 2, queue: 'gpu' });
  await approveTiny(fleet, second);
  await answerCanary(client.store, await untilSeen('a canary', () => newestCanary(client.store)));
  await client.waitForRun(MODEL, second.run);

  const rollback = await client.command(MODEL, 'rollback', { reason: 'to see it' });
  const divert = await client.command(MODEL, 'divert', { release: await refOf(fleet, 2) });

  const imported = await importFirst(fleet);
  const expiring = await begin('expiring', { within: '2s' }, { imported });
  await client.waitForRun(MODEL, expiring.run);

  const cancelled = await begin('cancelled', { approvals: 0 }, { imported });
  await untilSeen('another canary', () => newestCanary(client.store, 5));
  const cancel = await client.cancelRun(MODEL, cancelled.run, 'to see it');
  await client.waitForRun(MODEL, cancelled.run);
  return observe(
    fleet,
    runs,
    [rollback, divert, cancel].map(({ accepted, detail }) => `${accepted} ${detail}`),
  );
}

/** The shortest lifecycle: one release, approved by nobody, that serves at once. */
export async function playFirstRelease(fleet: Fleet): Promise<Outcome> {
  const run = await startTiny(fleet, 'first', { seed: 1, approvals: 0 });
  await fleet.client.waitForRun(MODEL, run.run);
  return observe(fleet, [run], []);
}

async function manifestOf({ client }: Fleet, version: number): Promise<ReleaseManifest> {
  return JSON.parse(
    Buffer.from((await client.store.get(keys.releaseManifest(MODEL, version)))!).toString(),
  ) as ReleaseManifest;
}

async function refOf(fleet: Fleet, version: number): Promise<unknown> {
  const { routes } = await readHistory(fleet.client.store, MODEL);
  const arms = routes.flatMap((route) => route.arms);
  return arms.find(({ release }) => release.version === version)!.release;
}

async function importFirst(fleet: Fleet): Promise<ImportedModel> {
  const onnx = await fleet.client.blobs.get((await manifestOf(fleet, 1)).onnx);
  return fleet.client.importModel({
    onnx,
    spec: parseSpec(tinySpec(), { file: join(fleet.config.home, '..', 'x.yaml') }),
  });
}

async function observe(fleet: Fleet, runs: readonly StartedRun[], receipts: readonly string[]): Promise<Outcome> {
  const { client, config } = fleet;
  const { entries, routes } = await readHistory(client.store, MODEL);
  const versions = (await client.store.list(keys.releases(MODEL))).filter((key) =>
    key.endsWith('manifest.json'),
  ).length;
  const manifests = await Promise.all(Array.from({ length: versions }, (_, index) => manifestOf(fleet, index + 1)));
  const results = await Promise.all(runs.map(({ run }) => client.waitForRun(MODEL, run)));
  return {
    outcomes: results.map(({ outcome, version }) => `${outcome} ${version}`),
    receipts,
    releases: manifests.map(
      ({ version, run }) => `${version} of run ${runs.findIndex((each) => each.run === run) + 1}`,
    ),
    onnx: manifests.map(({ onnx }) => onnx),
    routes: routes.map(({ generation, state, arms, rollout }) =>
      [
        generation,
        state,
        ...arms.map(({ name, release, weight }) => `${name} ${release.version} at ${weight}`),
        rollout?.id ?? '-',
      ].join(', '),
    ),
    approvals: await Promise.all(
      manifests.map(async ({ version }) => (await client.store.list(keys.approvals(MODEL, version))).length),
    ),
    auditKinds: entries.map(({ kind }) => kind),
    auditIds: entries.map(({ id }) => id),
    problems: (await verifyAudit(client.store, await loadTrust(config.trustFile), MODEL)).problems,
  };
}
