import { createApprovalActivities } from '../../activities/approval/approval';
import { createReleaseActivities } from '../../activities/release/release';
import type { Digest } from '../../workflows/domain/digest';
import type { ReleaseRef } from '../../workflows/domain/release';
import type { EvidenceDocument, JudgedGates, RunRequest } from '../../workflows/domain/run';
import type { ModelSpec } from '../../workflows/domain/spec';
import type { RegisterInput } from '../../workflows/lifecycle.activities';
import type { PrivateKey } from '../../infra/signing/keys';
import { signApproval, testKeys, type TestWorkspace } from './workspace';
import { DEFAULT_SERVING } from '../../workflows/domain/serving';

export const MODEL = 'flights/late-arrival';

export function runId(number: number, attempt = 1): string {
  return `r-${number.toString(16).padStart(10, '0')}-${attempt}`;
}

export function sampleSpec(changes: Partial<ModelSpec> = {}): ModelSpec {
  return {
    schema: 'slipway/model/v1',
    model: MODEL,
    description: 'Will it arrive more than 15 minutes late?',
    owner: 'flights',
    task: 'binary',
    clock: 'event',
    serving: DEFAULT_SERVING,
    data: {
      source: '/data/flights.parquet',
      format: 'parquet',
      id: 'id',
      eventTime: 'at',
      from: null,
      lastMs: null,
      validationMs: 1,
      holdoutMs: 1,
      quarantineBudget: 0.01,
    },
    features: [
      {
        name: 'distance',
        type: 'number',
        unit: 'mi',
        range: [0, 5000],
        values: null,
        nullable: false,
        parts: [],
        onInvalid: 'reject',
      },
    ],
    label: { column: 'late', knownAt: null, maturityMs: 3_600_000 },
    assignment: { source: 'parameter', name: 'assignment_key' },
    training: {
      queue: 'compute',
      seed: 7,
      timeoutMs: 60_000,
      memoryMb: 512,
      trainer: {
        kind: 'logistic',
        hidden: [],
        embedding: 4,
        epochs: 1,
        batchSize: 64,
        learningRate: 0.1,
        l2: 0,
        checkpointEvery: 1,
        patience: 0,
      },
    },
    gates: [{ kind: 'threshold', metric: 'auc', min: 0.6, max: null }],
    approvals: { required: 2, withinMs: 86_400_000 },
    rollout: {
      bootstrap: 'direct',
      steps: [{ weight: 0.1, forMs: 1_000 }],
      bakeMs: 1_000,
      extensions: 1,
      errors: { margin: 0.01, alpha: 0.05, minKeys: 10 },
      disagreement: null,
      quality: null,
    },
    monitor: {
      everyMs: 1_000,
      windowMs: 1_000,
      drift: { alpha: 0.01, minEffect: 0.1, consecutive: 2 },
      calibration: { alpha: 0.01, maxGap: 0.05, consecutive: 2 },
      retrain: { enabled: false, cooldownMs: 1_000 },
    },
    retention: { predictionsMs: 1_000 },
    ...changes,
  };
}

export async function sampleRequest(
  workspace: TestWorkspace,
  run = runId(1),
  spec = sampleSpec(),
): Promise<RunRequest> {
  return {
    schema: 'slipway.run/1',
    workspace: workspace.workspace,
    model: spec.model,
    run,
    attempt: Number(run.split('-').at(-1)),
    cause: 'manual',
    commit: 'abc123',
    spec: await workspace.blobs.putJson(spec),
    asOf: '2001-03-01T00:00:00.000Z',
    imported: null,
    from: null,
    evidence: null,
    requestedAt: '2001-03-01T00:00:00.000Z',
  };
}

/** A run that passed its gates and is about to be registered. */
export async function sampleRegistration(
  workspace: TestWorkspace,
  request: RunRequest,
  found: Partial<EvidenceDocument> = {},
): Promise<RegisterInput> {
  const { blobs, audit } = workspace;
  const onnx = await blobs.put(Buffer.from(`onnx bytes of ${request.run}`));
  const signature = await blobs.putJson({ task: 'binary', inputs: [], output: { name: 'score', datatype: 'FP32' } });
  const gates: JudgedGates['gates'] = [
    { gate: 'auc', outcome: 'pass', value: 0.67, bound: 0.6, detail: 'auc 0.67, at least 0.6' },
  ];
  const document: Partial<EvidenceDocument> = {
    schema: 'slipway.evidence/1',
    model: request.model,
    run: request.run,
    onnx,
    gates,
    ...found,
  };
  const evidence = await blobs.putJson(document);
  const judged = await audit.append(request.model, {
    id: `gates/${request.run}`,
    kind: 'gates.judged',
    actor: 'process:control',
    summary: 'gates passed',
    data: { run: request.run },
    evidence: [evidence],
  });
  return {
    request,
    ingest: null,
    training: { onnx, signature, machineClass: 'x64', trainer: 'builtin/logistic', epochs: 1, resumedFromEpoch: 0 },
    evaluation: {
      evidence,
      samples: await blobs.putJson({ rows: [], outputs: [] }),
      metrics: { auc: 0.67, logLoss: 0.48 },
    },
    judged: { passed: true, gates, evidence, audit: judged },
    startedBy: 'person:developer',
    approvalsRequired: 0,
  };
}

export interface PublishedRelease {
  readonly ref: ReleaseRef;
  readonly request: RunRequest;
  readonly evidence: Digest;
}

/** A registered release with approvals by the given keys, all through the activities. */
export async function publishRelease(
  workspace: TestWorkspace,
  options: { run?: string; spec?: ModelSpec; approvers?: readonly PrivateKey[] } = {},
): Promise<PublishedRelease> {
  const request = await sampleRequest(workspace, options.run ?? runId(1), options.spec ?? sampleSpec());
  const registration = await sampleRegistration(workspace, request);
  const ref = await createReleaseActivities(workspace).registerRelease(registration);
  const published = { ref, request, evidence: registration.judged.evidence };
  for (const key of options.approvers ?? [testKeys.ana, testKeys.ben]) {
    const receipt = await approve(workspace, published, key);
    if (!receipt.accepted) throw new Error(`${receipt.code}: ${receipt.detail}`);
  }
  return published;
}

export function approve(
  workspace: TestWorkspace,
  { ref, request, evidence }: PublishedRelease,
  key: PrivateKey,
  changes: Partial<Parameters<ReturnType<typeof createApprovalActivities>['recordApproval']>[0]> = {},
): ReturnType<ReturnType<typeof createApprovalActivities>['recordApproval']> {
  const envelope = signApproval(key, { release: ref, evidence, workspace: workspace.workspace });
  return createApprovalActivities(workspace).recordApproval({
    request,
    release: ref,
    evidence,
    envelope,
    startedBy: 'person:developer',
    recorded: [],
    open: true,
    ...changes,
  });
}
