import { calibrationOf } from '../../workflows/domain/calibration';
import { SlipwayError } from '../../workflows/domain/errors';
import type { ReleaseRef, Signature } from '../../workflows/domain/release';
import type { EvidenceDocument, SnapshotManifest } from '../../workflows/domain/run';
import type { ModelSpec } from '../../workflows/domain/spec';
import type { LifecycleControlActivities, RegisterInput } from '../../workflows/lifecycle.activities';
import type { AuditLog } from '../../infra/audit/port';
import type { BlobStore, ObjectStore } from '../../infra/object-store/port';
import { registerRelease, type ReleaseDraft } from '../../infra/releases/registration';
import type { Signer, WorkspacePolicy } from '../../infra/signing/port';
import { writeModelCard } from './model-card';

export interface ReleasePorts {
  readonly store: ObjectStore;
  readonly blobs: BlobStore;
  readonly audit: AuditLog;
  /** The control key. */
  readonly signer: Signer;
  readonly trust: { readonly policy: WorkspacePolicy };
}

export type ReleaseActivities = Pick<LifecycleControlActivities, 'registerRelease'>;

export function createReleaseActivities(ports: ReleasePorts): ReleaseActivities {
  return { registerRelease: (input) => register(ports, input) };
}

async function register(ports: ReleasePorts, input: RegisterInput): Promise<ReleaseRef> {
  const { calibration } = await readJudged(ports, input);
  const { blobs } = ports;
  const spec = await blobs.getJson<ModelSpec>(input.request.spec);
  const snapshot = input.ingest ? await blobs.getJson<SnapshotManifest>(input.ingest.manifest) : null;
  const { policy } = ports.trust;
  const approvalsRequired = Math.max(spec.approvals.required, policy.minApprovals, input.approvalsRequired);
  // A release that nobody had to approve is not one for production, whatever the policy says of others.
  const production = policy.production && approvalsRequired > 0;
  const card = writeModelCard({
    register: input,
    spec,
    snapshot,
    approvalsRequired,
    production,
    ...(calibration ? { calibration } : {}),
  });
  const [onnx, signature, modelCard] = await Promise.all([
    blobs.get(input.training.onnx),
    blobs.getJson<Signature>(input.training.signature),
    blobs.put(Buffer.from(card, 'utf8')),
  ]);
  const draft: ReleaseDraft = {
    workspace: policy.workspace,
    model: input.request.model,
    run: input.request.run,
    ...(input.training.kind ? { kind: input.training.kind } : {}),
    onnx: input.training.onnx,
    onnxBytes: onnx.length,
    signature,
    metrics: input.evaluation.metrics,
    // Out of the evidence, so that what is signed and served is what people approved.
    ...(calibration ? { calibration: calibrationOf(calibration) } : {}),
    lineage: lineageOf(input, spec),
    evidence: input.judged.evidence,
    profile: snapshot?.profile ?? null,
    samples: input.evaluation.samples,
    modelCard,
    clock: spec.clock,
    serving: spec.serving,
    spec: input.request.spec,
    approvalsRequired,
    production,
  };
  return registerRelease(ports, draft, 'process:control');
}

/** The evidence that approvers will see; only of a model whose gates passed, on evidence about these very bytes, and whose judgement the log holds (I7). */
async function readJudged(
  ports: ReleasePorts,
  { request, training, judged }: RegisterInput,
): Promise<EvidenceDocument> {
  if (!judged.passed) throw new SlipwayError('GATES_FAILED', `run ${request.run} did not pass its gates`);
  const evidence = await ports.blobs.getJson<EvidenceDocument>(judged.evidence);
  if (evidence.onnx !== training.onnx || evidence.model !== request.model)
    throw new SlipwayError(
      'RELEASE_TAMPERED',
      `the evidence of run ${request.run} is about ${evidence.model} ${evidence.onnx}, not ${training.onnx}`,
    );
  const entry = await ports.audit.find(request.model, judged.audit);
  if (entry?.kind !== 'gates.judged')
    throw new SlipwayError('AUDIT_BROKEN', `the audit log does not hold the judgement of run ${request.run}`);
  return evidence;
}

function lineageOf({ request, ingest, training, startedBy }: RegisterInput, spec: ModelSpec): ReleaseDraft['lineage'] {
  return {
    run: request.run,
    cause: request.cause,
    commit: request.commit,
    spec: request.spec,
    snapshot: ingest?.snapshot ?? null,
    seed: spec.training.seed,
    trainer: training.trainer,
    machineClass: training.machineClass,
    startedBy,
  };
}
