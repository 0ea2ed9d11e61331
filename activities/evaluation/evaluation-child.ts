import { readFile } from 'node:fs/promises';
import { quoteName, quoteText, withDuckDb } from '../../infra/data/duckdb';
import type { DuckDb } from '../../infra/data/duckdb';
import { readSnapshot } from '../../infra/data/snapshot';
import type { SnapshotTable } from '../../infra/data/snapshot';
import { rowOfTable } from '../../infra/onnx/feature-table';
import { scoreRows, scoreTable } from '../../infra/onnx/score-table';
import { openSession } from '../../infra/onnx/session';
import { tableOfSnapshot } from '../../infra/onnx/snapshot-table';
import { answerJob, reportProgress } from '../../infra/process/job-child';
import { SlipwayError } from '../../workflows/domain/errors';
import type { SampleRows } from '../../workflows/domain/release';
import type { Evaluation, EvaluationJob, EvaluationReport, ScoredSplitName, ScorerJob } from './job';
import { measureCalibration } from './measure-calibration';
import { measureScorers } from './measure-scorers';

/** Rows that a gateway warms up and tests itself with. */
const SAMPLE_ROWS = 20;

async function evaluate(job: EvaluationJob, folder: string): Promise<Evaluation> {
  reportProgress({ stage: 'reading' });
  const files = [job.train, job.validation, job.holdout];
  const options = { threads: 1, memoryMb: job.memoryMb, folder, files };
  const { holdout, validation, trainingMean } = await withDuckDb(options, async (db) => ({
    holdout: await readSnapshot(db, job.holdout, job.spec),
    validation: job.spec.task === 'binary' ? await readSnapshot(db, job.validation, job.spec) : null,
    trainingMean: await meanLabel(db, job),
  }));
  if (holdout.rows === 0) throw new SlipwayError('DATA_EMPTY_SPLIT', 'the holdout has no rows');
  reportProgress({ stage: 'scoring' });
  const candidate = await score(job.candidate, 'holdout', holdout);
  const champion = job.champion && (await score(job.champion, 'holdout', holdout));
  const validated = validation && {
    labels: validation.labels,
    scores: await score(job.candidate, 'validation', validation),
  };
  reportProgress({ stage: 'measuring' });
  const measured = measureScorers(job.spec, {
    labels: holdout.labels,
    eventTimes: holdout.eventTimes,
    candidate,
    champion,
    // Where there was nothing to train on, the best constant there is on these rows: a stricter baseline.
    trainingMean: trainingMean ?? mean(holdout.labels),
  });
  return {
    rows: holdout.rows,
    ...measured,
    ...(validated ? { calibration: measureCalibration(job.spec, validated, { ...holdout, candidate }) } : {}),
    samples: await sampleRows(job.candidate, holdout, candidate),
  };
}

/** Null where there are no training rows: an imported model with a holdout of its own. */
async function meanLabel(db: DuckDb, job: EvaluationJob): Promise<number | null> {
  const [row] = await db.rows<{ mean: number | null }>(
    `SELECT avg(${quoteName(job.spec.label.column)}) AS mean FROM read_parquet(${quoteText(job.train)})`,
  );
  return row?.mean ?? null;
}

function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

async function score(scorer: ScorerJob, split: ScoredSplitName, rows: SnapshotTable): Promise<Float32Array> {
  if ('scores' in scorer) return floatsOf(await readFile(scorer.scores[split]!));
  return scoreTable(await openSession(scorer.onnx), scorer.signature, tableOfSnapshot(rows, scorer.signature.inputs));
}

function floatsOf(bytes: Buffer): Float32Array {
  return new Float32Array(new Uint8Array(bytes).buffer);
}

/** Rows spread evenly over the holdout, with what the candidate answers to each; only finite answers can be tested against. */
async function sampleRows(scorer: ScorerJob, holdout: SnapshotTable, scores: Float32Array): Promise<SampleRows> {
  const table = tableOfSnapshot(holdout, scorer.signature.inputs);
  const count = Math.min(SAMPLE_ROWS, holdout.rows);
  const picked = Array.from({ length: count }, (_, index) => Math.floor((index * holdout.rows) / count));
  const rows = picked.map((row) => rowOfTable(table, row));
  const outputs =
    'scores' in scorer
      ? picked.map((row) => scores[row]!)
      : [...(await scoreRows(await openSession(scorer.onnx), scorer.signature, rows))];
  const finite = rows
    .map((row, index) => ({ row, output: outputs[index]! }))
    .filter(({ output }) => Number.isFinite(output));
  return { rows: finite.map(({ row }) => row), outputs: finite.map(({ output }) => output) };
}

/** Entry of the limited child that runs the models. */
answerJob((job: EvaluationJob, folder) =>
  evaluate(job, folder).then(
    (evaluation): EvaluationReport => ({ ok: true, evaluation }),
    (error: unknown): EvaluationReport => {
      if (error instanceof SlipwayError) return { ok: false, code: error.code, message: error.message };
      throw error;
    },
  ),
);
