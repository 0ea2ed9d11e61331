import { readFile } from 'node:fs/promises';
import type { BlobStore } from '../../../infra/object-store/port';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { ReleaseManifest, SampleRows, Signature } from '../../../workflows/domain/release';
import { bucketOf } from '../../../workflows/domain/route';
import { seededRandom } from '../../../workflows/domain/statistics/random';
import type { Column } from '../inference/conversion';
import type { Executor } from '../execution/executor';
import type { OutputTensor } from '../inference/output-tensor';
import { sampleColumns } from '../inference/sample-columns';
import type { LoadedRelease } from '../routes/served-model';
import {
  type AdditiveParts,
  additivePartsOf,
  attributeAdditive,
  attributeBySampling,
  attributeExactly,
  type Attribution,
  type Background,
  backgroundOf,
  type Evaluate,
  isEnumerable,
  type Row,
} from './shapley';

export interface ExplainerOptions {
  /** Opened at the first explanation, with a thread of its own: explanations never stand in the way of answers. */
  readonly openExecutor: () => ExplainingExecutor;
  readonly blobs: Pick<BlobStore, 'file'>;
}

export type ExplainingExecutor = Pick<Executor, 'load' | 'unload' | 'score' | 'close'>;

/** One request to explain. */
export interface Explained {
  readonly release: LoadedRelease;
  readonly columns: readonly Column[];
  readonly scores: Float32Array;
  readonly requestId: string;
}

interface Prepared {
  readonly session: number;
  readonly evaluate: Evaluate;
  readonly background: Background;
  /** Null where features interact. */
  readonly parts: AdditiveParts | null;
}

const BACKGROUND_ROWS = 16;
const MAX_ROWS = 64;
/** Rows of all requests that may wait to be explained. */
const MAX_WAITING_ROWS = 256;
const KEPT_RELEASES = 16;

/**
 * Attributions of scores to features against the release's own sample rows, which are signed with it. The same request id gets the
 * same explanation again, on any gateway.
 */
export class Explainer {
  private readonly prepared = new Map<LoadedRelease, Promise<Prepared>>();
  private waitingRows = 0;
  private opened: ExplainingExecutor | null = null;

  constructor(private readonly options: ExplainerOptions) {}

  /** Throws REQUEST_TOO_LARGE, OVERLOADED, and INFERENCE_FAILED where the release has no sample rows to compare with, or is an external endpoint. */
  async explain(request: Explained): Promise<readonly OutputTensor[]> {
    const rows = request.scores.length;
    if (rows > MAX_ROWS)
      throw new SlipwayError('REQUEST_TOO_LARGE', `${rows} rows to explain; at most ${MAX_ROWS} in one request`);
    if (this.waitingRows + rows > MAX_WAITING_ROWS)
      throw new SlipwayError('OVERLOADED', 'too many requests wait for their explanation');
    this.waitingRows += rows;
    try {
      const prepared = await this.prepare(request.release);
      const attributions: Attribution[] = [];
      for (let row = 0; row < rows; row += 1) attributions.push(await attribute(prepared, request, row));
      return toOutputs(request.release.manifest, attributions);
    } finally {
      this.waitingRows -= rows;
    }
  }

  async close(): Promise<void> {
    await this.opened?.close();
  }

  private get executor(): ExplainingExecutor {
    return (this.opened ??= this.options.openExecutor());
  }

  /** Kept by release, the least lately used leaves. */
  private prepare(release: LoadedRelease): Promise<Prepared> {
    const known = this.prepared.get(release);
    this.prepared.delete(release);
    const prepared = known ?? this.open(release.manifest);
    this.prepared.set(release, prepared);
    if (!known) prepared.catch(() => this.prepared.delete(release));
    for (const [oldest, opened] of this.prepared) {
      if (this.prepared.size <= KEPT_RELEASES) break;
      this.prepared.delete(oldest);
      opened.then(({ session }) => this.executor.unload(session)).catch(() => undefined);
    }
    return prepared;
  }

  private async open(manifest: ReleaseManifest): Promise<Prepared> {
    const { blobs } = this.options;
    if (manifest.kind === 'endpoint')
      throw new SlipwayError('INFERENCE_FAILED', 'answers of an external endpoint are not explained');
    const { executor } = this;
    const { rows } = JSON.parse(await readFile(await blobs.file(manifest.samples), 'utf8')) as SampleRows;
    if (rows.length === 0)
      throw new SlipwayError('INFERENCE_FAILED', 'the release has no sample rows, so nothing to explain against');
    const session = await executor.load(await blobs.file(manifest.onnx), manifest.signature);
    try {
      const evaluate = evaluateWith(executor, session, manifest.signature);
      const columns = sampleColumns(manifest, rows.slice(0, BACKGROUND_ROWS));
      const background = await backgroundOf(toRows(columns), evaluate);
      return { session, evaluate, background, parts: await additivePartsOf(background, evaluate) };
    } catch (error) {
      executor.unload(session);
      throw error;
    }
  }
}

function attribute(
  { evaluate, background, parts }: Prepared,
  { release, columns, scores, requestId }: Explained,
  at: number,
): Promise<Attribution> {
  const { evaluations } = release.manifest.serving.explain;
  const { task } = release.manifest.signature;
  const row: Row = columns.map((column) => column[at]!);
  const value = link(task, scores[at]!);
  if (parts) return attributeAdditive(row, value, background, parts, evaluate);
  if (isEnumerable(row.length, background, evaluations)) return attributeExactly(row, value, background, evaluate);
  const random = seededRandom(Math.floor(bucketOf(release.ref.digest, `${requestId}/${at}`) * 0x1_0000_0000));
  return attributeBySampling(row, value, background, { evaluations, random, evaluate });
}

function evaluateWith(executor: Pick<Executor, 'score'>, session: number, { task }: Signature): Evaluate {
  return async (rows) => {
    const columns = rows[0]!.map((_, feature) => rows.map((row) => row[feature]!));
    const scores = await executor.score(session, columns, rows.length);
    return Float64Array.from(scores, (score) => link(task, score));
  };
}

/** Probabilities are explained as log-odds, where the parts of a logistic model add up; cut where 32-bit scores reach 0 or 1. */
function link(task: Signature['task'], score: number): number {
  if (task === 'regression') return score;
  const inside = Math.min(1 - 1e-7, Math.max(1e-7, score));
  return Math.log(inside / (1 - inside));
}

function toRows(columns: readonly Column[]): Row[] {
  return Array.from(columns[0]!, (_, row) => columns.map((column) => column[row]!));
}

function toOutputs(manifest: ReleaseManifest, attributions: readonly Attribution[]): readonly OutputTensor[] {
  const names = manifest.signature.inputs.map(({ name }) => name);
  const reasons = Math.min(manifest.serving.explain.reasons, names.length);
  const flat = (read: (attribution: Attribution) => Iterable<number>): Float32Array =>
    Float32Array.from(attributions.flatMap((attribution) => [...read(attribution)]));
  return [
    { name: 'explanation', datatype: 'FP32', width: names.length, data: flat(({ contributions }) => contributions) },
    { name: 'explanation_error', datatype: 'FP32', width: names.length, data: flat(({ errors }) => errors) },
    { name: 'explanation_base', datatype: 'FP32', width: 1, data: flat(({ base }) => [base]) },
    {
      name: 'reasons',
      datatype: 'BYTES',
      width: reasons,
      data: attributions.flatMap((attribution) => strongest(attribution, reasons).map((feature) => names[feature]!)),
    },
  ];
}

function strongest({ contributions }: Attribution, count: number): number[] {
  return [...contributions.keys()]
    .sort((a, b) => Math.abs(contributions[b]!) - Math.abs(contributions[a]!))
    .slice(0, count);
}
