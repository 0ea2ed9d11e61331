import { join } from 'node:path';
import { createBlobStore } from '../../../infra/object-store/blobs';
import { createFsStore } from '../../../infra/object-store/fs-store';
import type { ObjectStore } from '../../../infra/object-store/port';
import { storeApproval } from '../../../infra/releases/approvals';
import { registerRelease } from '../../../infra/releases/registration';
import { createReleaseRegistry } from '../../../infra/releases/registry';
import { createRouteReader } from '../../../infra/routes/reader';
import { commitRoute } from '../../../infra/routes/writer';
import { decisionDigest } from '../../../infra/signing/dsse';
import type { PrivateKey } from '../../../infra/signing/keys';
import type { Trust } from '../../../infra/signing/port';
import { silentLogger } from '../../../infra/telemetry/log';
import type { Digest } from '../../../workflows/domain/digest';
import type { ReleaseManifest, ReleaseRef, SampleRows } from '../../../workflows/domain/release';
import type { Route } from '../../../workflows/domain/route';
import type { Gateway } from '../../../workers/gateway/gateway';
import { startGateway } from '../../../workers/gateway/gateway';
import type { GatewayOptions } from '../../../workers/gateway/gateway-options';
import { cacheFolder } from '../../../workers/gateway/identity';
import { temporaryFolder } from '../../support/temporary-folder';
import { signApproval, testClock, testWorkspace, type TestWorkspace } from '../../support/workspace';
import { DEFAULT_SERVING, type ServingSpec } from '../../../workflows/domain/serving';

export const MODEL = 'flights/late-arrival';
const NOTHING: Digest = `sha256:${'0'.repeat(64)}`;

interface ReleasedModel extends Pick<ReleaseManifest, 'kind' | 'signature' | 'calibration'> {
  readonly onnx: Uint8Array;
  readonly serving?: Partial<ServingSpec>;
}

/** A store on disk with signed releases and routes, and gateways that read it. */
export class GatewayFixture {
  private readonly folder = temporaryFolder('gateway');
  readonly home = join(this.folder.path, 'home');
  readonly storeRoot = join(this.folder.path, 'store');
  readonly store: ObjectStore = createFsStore(this.storeRoot);
  readonly workspace: TestWorkspace = testWorkspace({ store: this.store, clock: testClock(new Date().toISOString()) });
  private readonly gateways = new Set<Gateway>();
  private runs = 0;

  async release(
    model: ReleasedModel,
    samples: SampleRows = { rows: [], outputs: [] },
    name = MODEL,
    approvers: readonly PrivateKey[] = [],
  ): Promise<ReleaseRef> {
    const { blobs, audit, signer } = this.workspace;
    this.runs += 1;
    const run = `r-${String(this.runs).padStart(10, '0')}-1`;
    const ref = await registerRelease(
      { store: this.store, audit, signer },
      {
        workspace: 'dev',
        model: name,
        run,
        ...(model.kind ? { kind: model.kind } : {}),
        onnx: await blobs.put(model.onnx),
        onnxBytes: model.onnx.length,
        signature: model.signature,
        metrics: {},
        ...(model.calibration ? { calibration: model.calibration } : {}),
        lineage: {
          run,
          cause: 'manual',
          commit: 'c',
          spec: NOTHING,
          snapshot: null,
          seed: 1,
          trainer: 'test',
          machineClass: 'test',
          startedBy: 'person:developer',
        },
        evidence: NOTHING,
        profile: null,
        samples: await blobs.putJson(samples),
        modelCard: NOTHING,
        clock: 'wall',
        serving: { ...DEFAULT_SERVING, ...model.serving },
        spec: NOTHING,
        approvalsRequired: approvers.length,
        production: false,
      },
      'process:control',
    );
    for (const key of approvers) await this.approve(ref, key);
    return ref;
  }

  private async approve(release: ReleaseRef, key: PrivateKey): Promise<void> {
    const [at, expiresAt] = [0, 3_600_000].map((ms) => new Date(Date.now() + ms).toISOString());
    const envelope = signApproval(key, { release, evidence: NOTHING, at: at!, expiresAt: expiresAt! });
    const approval = decisionDigest(envelope);
    const audit = await this.workspace.audit.append(release.model, {
      id: `approval/${approval}`,
      kind: 'approval.recorded',
      actor: key.person,
      summary: 'approved',
      data: { approval },
      evidence: [],
    });
    await storeApproval(this.store, release, { envelope, audit });
  }

  /** Commits the next generation: champion alone, or with a challenger at `weight`. */
  async route(
    champion: ReleaseRef,
    challenger: { release: ReleaseRef; weight: number } | null = null,
    changes: Partial<Route> = {},
  ): Promise<number> {
    const { audit, signer, reader } = this.workspace;
    const onGeneration = (await reader.newest(champion.model))?.route.generation ?? 0;
    const arms = challenger
      ? ([
          { name: 'champion', release: champion, weight: 1 - challenger.weight },
          { name: 'challenger', release: challenger.release, weight: challenger.weight },
        ] as const)
      : ([{ name: 'champion', release: champion, weight: 1 }] as const);
    const committed = await commitRoute(
      { store: this.store, audit, reader, signer, workspace: 'dev' },
      {
        onGeneration,
        reason: 'test',
        actor: 'process:control',
        evidence: [],
        watermark: null,
        route: {
          model: champion.model,
          intent: `intent-${onGeneration + 1}`,
          state: 'serving',
          arms,
          shadows: [],
          paired: false,
          assignment: { source: 'request' },
          salt: 'salt',
          clock: 'wall',
          challengerLeaseMs: 10_000,
          rollout: challenger ? { id: `rollout-${challenger.release.version}-1`, step: 0 } : null,
          ...changes,
        },
      },
    );
    return committed.generation;
  }

  options(
    changes: { threads?: number; pollMs?: number; grpcPort?: number; store?: ObjectStore; trust?: Trust } & Partial<
      Pick<GatewayOptions, 'nowMs' | 'limits' | 'modelLimits' | 'logger' | 'edge' | 'endpoints'>
    > = {},
  ): GatewayOptions {
    const {
      threads = 1,
      pollMs = 100,
      grpcPort = null,
      store = this.store,
      trust = this.workspace.trust,
      ...rest
    } = changes;
    const config = {
      home: this.home,
      gateway: {
        ...{ host: '127.0.0.1', port: 0, grpcPort, pollMs, threads, id: 'gateway-1' },
        ...{ timeoutMs: 30_000, maxWaitMs: 250, processes: 1 },
      },
    };
    const blobs = createBlobStore(store, join(cacheFolder(config), 'blobs'));
    const { audit } = testWorkspace({ store });
    const ports = {
      store,
      blobs,
      trust: {
        get policy() {
          return trust.policy;
        },
        failedLooks: 0,
      },
      reader: createRouteReader({ store, trust, audit }),
      registry: createReleaseRegistry({ store, blobs, trust, audit }),
    };
    return { config, logger: silentLogger, ports, ...rest };
  }

  async start(changes: Parameters<GatewayFixture['options']>[0] = {}): Promise<Gateway> {
    const gateway = await startGateway(this.options(changes));
    this.gateways.add(gateway);
    return gateway;
  }

  async stop(gateway: Gateway): Promise<void> {
    this.gateways.delete(gateway);
    await gateway.close();
  }

  async dispose(): Promise<void> {
    await Promise.all([...this.gateways].map((gateway) => gateway.close()));
    this.folder.remove();
  }
}

export interface Answer {
  readonly status: number;
  readonly body: {
    readonly model_version: string;
    readonly id: string;
    readonly code?: string;
    readonly error?: string;
    readonly parameters: { readonly generation: number; readonly arm: string };
    readonly outputs: readonly { readonly data: readonly number[]; readonly shape: readonly number[] }[];
  };
}

export function inferBody(
  distances: readonly (number | null)[],
  changes: Readonly<Record<string, unknown>> = {},
): string {
  return JSON.stringify({
    inputs: [{ name: 'distance', datatype: 'FP32', shape: [distances.length, 1], data: distances }],
    ...changes,
  });
}

export async function post(
  url: string,
  body: string,
  headers: Record<string, string> = {},
  model = MODEL,
): Promise<Answer> {
  const response = await fetch(`${url}/v2/models/${model}/infer`, { method: 'POST', body, headers });
  return { status: response.status, body: (await response.json()) as Answer['body'] };
}

export async function ready(
  gateway: Gateway,
  model = MODEL,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  await until(
    async () => (await fetch(`${gateway.url}/v2/models/${model}/ready`, { headers })).status === 200,
    `${model} is ready`,
  );
}

export async function until(
  condition: () => Promise<boolean> | boolean,
  what: string,
  withinMs = 10_000,
): Promise<void> {
  const endMs = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > endMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
