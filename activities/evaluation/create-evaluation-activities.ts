import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isErrorCode, SlipwayError } from '../../workflows/domain/errors';
import { calibrationOf } from '../../workflows/domain/calibration';
import { judgeGates, judgePromises } from '../../workflows/domain/gates';
import type { Signature } from '../../workflows/domain/release';
import type {
  EvaluateResult,
  EvidenceDocument,
  IngestResult,
  JudgedGates,
  RunRequest,
  SnapshotManifest,
  TrainResult,
} from '../../workflows/domain/run';
import type { ModelSpec } from '../../workflows/domain/spec';
import { gatesPass } from '../../workflows/domain/verdict';
import type { LifecycleComputeActivities } from '../../workflows/lifecycle.activities';
import type { AuditLog } from '../../infra/audit/port';
import { type Bindings, NO_BINDINGS } from '../../infra/endpoints/bindings';
import type { BlobStore, ObjectStore } from '../../infra/object-store/port';
import { withAttemptFolder } from '../../infra/process/attempt-folder';
import { type ActivityScope, withHeartbeat } from '../../infra/process/activity-scope';
import { ChildEndedError, describeEnd } from '../../infra/process/child-end';
import { runJobChild } from '../../infra/process/job-child';
import type { ReleaseRegistry } from '../../infra/releases/port';
import type { RouteReader } from '../../infra/routes/port';
import { findStepResult, keepStepResult, stepCacheKey } from '../../infra/runs/step-results';
import { compatibilityNotes, findChampion, whyUnscored } from './champion';
import type { Champion } from './champion';
import { scoreEndpoint } from './endpoint-scores';
import type { Evaluation, EvaluationJob, EvaluationReport, ScoredSplitName, ScorerJob } from './job';

export interface EvaluationPorts {
  readonly store: ObjectStore;
  readonly blobs: BlobStore;
  readonly audit: Pick<AuditLog, 'append'>;
  readonly reader: Pick<RouteReader, 'newest'>;
  readonly registry: Pick<ReleaseRegistry, 'manifest'>;
  /** Folder for work in progress; each attempt has its own below it, removed after. Default: the system's temporary folder. */
  readonly workFolder?: string;
  readonly limits?: EvaluationLimits;
  /** Where external endpoints are; none is bound where it is left out. */
  readonly endpoints?: Bindings;
}

export interface EvaluationLimits {
  readonly memoryMb: number;
  readonly timeoutMs: number;
}

const DEFAULT_LIMITS: EvaluationLimits = { memoryMb: 3_072, timeoutMs: 1_800_000 };
const DUCKDB_SHARE = 0.4;
const EVALUATION_VERSION = 2;
const ACTOR = 'process:compute';
const ONLY_HOLDOUT = ['holdout'] as const;
const SCORED = ['validation', 'holdout'] as const;

/**
 * `evaluate` throws SlipwayError DATA_EMPTY_SPLIT, INFERENCE_FAILED, MODEL_UNREADABLE, MODEL_SIGNATURE. Its result is kept by what went into it, the
 * champion of that moment included. `judgeGates` writes the evidence again with the gates in it, and audits them.
 */
export function createEvaluationActivities(
  ports: EvaluationPorts,
): Pick<LifecycleComputeActivities, 'evaluate' | 'judgeGates'> {
  return {
    evaluate: (input) => withHeartbeat((scope) => evaluate(ports, input, scope)),
    judgeGates: async ({ request, evaluation }) => {
      const spec = await ports.blobs.getJson<ModelSpec>(request.spec);
      const measured = await ports.blobs.getJson<EvidenceDocument>(evaluation.evidence);
      const gates = [...judgeGates(spec.gates, measured), ...judgePromises(spec.serving, measured)];
      const passed = gatesPass(gates);
      const evidence = await ports.blobs.putJson({ ...measured, gates } satisfies EvidenceDocument);
      const against = gates.filter(({ outcome }) => outcome !== 'pass').map(({ gate }) => gate);
      const audit = await ports.audit.append(request.model, {
        id: `gates/${request.run}/${evidence.slice('sha256:'.length)}`,
        kind: 'gates.judged',
        actor: ACTOR,
        summary: passed
          ? `All ${gates.length} gates passed for run ${request.run}.`
          : `Gates against run ${request.run}: ${against.join(', ') || 'the spec names none'}.`,
        data: { run: request.run, passed, gates },
        evidence: [evidence],
      });
      return { passed, gates, evidence, audit } satisfies JudgedGates;
    },
  };
}

interface EvaluateInput {
  readonly request: RunRequest;
  readonly ingest: IngestResult;
  readonly training: TrainResult;
}

async function evaluate(
  ports: EvaluationPorts,
  { request, ingest, training }: EvaluateInput,
  scope: ActivityScope,
): Promise<EvaluateResult> {
  const spec = await ports.blobs.getJson<ModelSpec>(request.spec);
  const champion = await findChampion(ports, request.model);
  const { onnx, signature: signatureDigest } = training;
  const cacheKey = stepCacheKey({
    step: 'evaluate',
    version: EVALUATION_VERSION,
    onnx,
    signature: signatureDigest,
    snapshot: ingest.snapshot,
    champion: champion?.ref.digest ?? null,
    spec: request.spec,
  });
  const kept = await findStepResult<EvaluateResult>(ports.store, request, 'evaluate', cacheKey);
  if (kept) return kept;
  const signature = await ports.blobs.getJson<Signature>(signatureDigest);
  const unfit = champion && whyUnscored(champion, spec);
  const { evaluation, championAway } = await measureInChild(ports, scope, {
    spec,
    signature,
    training,
    manifest: await ports.blobs.getJson<SnapshotManifest>(ingest.manifest),
    champion: unfit === null ? champion : null,
  });
  const championUnscored = unfit ?? championAway;
  const { calibration } = evaluation;
  const calibrated = calibration === undefined ? {} : { calibration: calibrationOf(calibration) };
  const evidence: EvidenceDocument = {
    schema: 'slipway.evidence/1',
    model: request.model,
    run: request.run,
    onnx,
    signature: signatureDigest,
    snapshot: ingest.snapshot,
    champion: champion && { version: champion.ref.version, digest: champion.ref.digest },
    rows: evaluation.rows,
    days: evaluation.byDay.length,
    metrics: evaluation.metrics,
    byDay: await ports.blobs.putJson(evaluation.byDay),
    gates: [],
    compatibility: compatibilityNotes(champion, { ...calibrated, serving: spec.serving, signature }),
    ...(calibration === undefined ? {} : { calibration }),
    ...(evaluation.candidateUnscored === undefined ? {} : { candidateUnscored: evaluation.candidateUnscored }),
    ...(championUnscored === null ? {} : { championUnscored }),
  };
  const result = {
    evidence: await ports.blobs.putJson(evidence),
    samples: await ports.blobs.putJson(evaluation.samples),
    metrics: candidateMetrics(evaluation),
  };
  // A server that is away now may be back for the run's next attempt, which is compared with it again.
  return championAway === null ? keepStepResult(ports.store, request, 'evaluate', cacheKey, result) : result;
}

function candidateMetrics(evaluation: Evaluation): Record<string, number> {
  const entries = Object.entries(evaluation.metrics).map(([name, { candidate }]) => [name, candidate] as const);
  return Object.fromEntries(entries.filter((entry): entry is readonly [string, number] => entry[1] !== null));
}

interface Measurement {
  readonly spec: ModelSpec;
  readonly signature: Signature;
  readonly training: TrainResult;
  readonly manifest: SnapshotManifest;
  readonly champion: Champion | null;
}

interface Measured {
  readonly evaluation: Evaluation;
  /** Why a champion that is a server gave no scores; null where it did, or is none. */
  readonly championAway: string | null;
}

async function measureInChild(
  ports: EvaluationPorts,
  scope: ActivityScope,
  measurement: Measurement,
): Promise<Measured> {
  const limits = ports.limits ?? DEFAULT_LIMITS;
  const { spec, manifest } = measurement;
  const files = {
    train: await ports.blobs.file(manifest.splits.train.blob),
    validation: await ports.blobs.file(manifest.splits.validation.blob),
    holdout: await ports.blobs.file(manifest.splits.holdout.blob),
    memoryMb: Math.floor(limits.memoryMb * DUCKDB_SHARE),
  };
  return withAttemptFolder(ports.workFolder ?? tmpdir(), 'evaluation', async (folder) => {
    const place = { ...files, folder };
    const { championAway, ...scorers } = await prepareScorers(ports, scope, measurement, place);
    const evaluation = await runMeasurement(ports, scope, folder, { spec, ...scorers, ...files }, limits);
    return { evaluation, championAway };
  });
}

/**
 * A graph is for the child to run; a server is asked here, and the child is given its scores. The champion comes first: where it is
 * away, that is known before the candidate's server is asked.
 */
async function prepareScorers(
  ports: EvaluationPorts,
  scope: ActivityScope,
  { spec, signature, training, champion }: Measurement,
  place: ScoredPlace,
): Promise<Pick<EvaluationJob, 'candidate' | 'champion'> & Pick<Measured, 'championAway'>> {
  const prepare = (job: ScoredModel): Promise<ScorerJob> => prepareScorer(ports, scope, spec, place, job);
  // The map from scores to probabilities is fitted on the candidate's validation rows.
  const splits = spec.task === 'binary' ? SCORED : ONLY_HOLDOUT;
  let championAway: string | null = null;
  const scoreChampion = async ({ ref, manifest }: Champion): Promise<ScorerJob | null> => {
    try {
      const { signature: abi } = manifest;
      return await prepare({ name: 'champion', model: manifest, signature: abi, splits: ONLY_HOLDOUT });
    } catch (error) {
      championAway = whyAway(ref.version, manifest, error);
      return null;
    }
  };
  const scoredChampion = champion && (await scoreChampion(champion));
  const candidate = await prepare({ name: 'candidate', model: training, signature, splits });
  return { candidate, champion: scoredChampion, championAway };
}

/**
 * A champion that cannot be asked must not keep its own replacement away for ever: gates against it are not measurable then, which
 * blocks where they do (I5), and a person may say otherwise. Throws what is no failing of the champion's server.
 */
function whyAway(version: number, { kind }: Pick<Champion['manifest'], 'kind'>, error: unknown): string {
  const isAway =
    error instanceof SlipwayError && (error.code.startsWith('ENDPOINT_') || error.code === 'INPUT_INVALID');
  if (kind !== 'endpoint' || !isAway) throw error;
  return `Release ${version} gave no scores of this holdout: ${error.code}, ${error.message}.`;
}

type ScoredPlace = Readonly<Record<ScoredSplitName | 'folder', string>> & { readonly memoryMb: number };

interface ScoredModel {
  readonly name: string;
  readonly model: Pick<TrainResult, 'kind' | 'onnx'>;
  readonly signature: Signature;
  readonly splits: readonly ScoredSplitName[];
}

async function prepareScorer(
  { blobs, endpoints = NO_BINDINGS }: EvaluationPorts,
  scope: ActivityScope,
  spec: ModelSpec,
  place: ScoredPlace,
  { name, model, signature, splits }: ScoredModel,
): Promise<ScorerJob> {
  if (model.kind !== 'endpoint') return { onnx: await blobs.file(model.onnx), signature };
  const descriptor = await blobs.get(model.onnx);
  const scores: Partial<Record<ScoredSplitName, string>> = {};
  for (const split of splits) {
    const input = { ...place, bindings: endpoints, scope, spec, split: place[split] };
    scores[split] = await scoreEndpoint(input, { name: `${name}-${split}`, descriptor, signature });
  }
  return { scores, signature };
}

async function runMeasurement(
  ports: EvaluationPorts,
  scope: ActivityScope,
  folder: string,
  job: EvaluationJob,
  limits: EvaluationLimits,
): Promise<Evaluation> {
  const entry = join(__dirname, 'evaluation-child');
  const answer = await runJobChild<EvaluationJob, EvaluationReport>({ entry, folder, job, limits, scope });
  if (!answer.ok) {
    const ended = `scoring the holdout ${await describeEnd(ports.blobs, answer.outcome)}`;
    throw answer.outcome.limit === null ? new ChildEndedError(ended) : new SlipwayError('MODEL_UNREADABLE', ended);
  }
  const { report } = answer;
  if (report.ok) return report.evaluation;
  throw new SlipwayError(isErrorCode(report.code) ? report.code : 'INTERNAL', report.message);
}
