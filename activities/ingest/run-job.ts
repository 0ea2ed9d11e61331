import { join } from 'node:path';
import { SlipwayError } from '../../workflows/domain/errors';
import { withDuckDb, type DuckDb } from '../../infra/data/duckdb';
import { matchColumns } from './columns';
import {
  QUARANTINE_FILE,
  splitFile,
  type IngestedSnapshot,
  type IngestJob,
  type IngestProgress,
  type IngestReport,
  type Quarantined,
} from './job';
import { boundariesOf, checkBudget, holdoutBoundaries, markDuplicates, stageRows, writeQuarantine } from './rows';
import { digestRows } from './rows-digest';
import { profileSnapshot } from './snapshot-profile';
import { findFiles, messageOf, openSource, unreadable } from './source';
import { measureSplits, SPLITS, splitRows, writeSplit } from './splits';

/** Reads the source into `folder`. Whatever is wrong with the data is in the report; it throws only where Slipway is wrong. */
export async function runIngestJob(
  job: IngestJob,
  folder: string,
  onProgress: (progress: IngestProgress) => void,
): Promise<IngestReport> {
  const bad: { quarantine: Quarantined } = { quarantine: { rows: 0, reasons: {} } };
  try {
    const files = await findFiles(job.spec.data.source);
    const options = { threads: job.threads, memoryMb: job.memoryMb, folder, files };
    const snapshot = await withDuckDb(options, (db) => ingestFiles({ db, job, folder, files, bad, onProgress }));
    return { ok: true, quarantine: bad.quarantine, snapshot };
  } catch (error) {
    const known =
      error instanceof SlipwayError ? error : isDataError(error) ? unreadable(job.spec.data.source, error) : undefined;
    if (!known) throw error;
    return { ok: false, code: known.code, message: known.message, quarantine: bad.quarantine };
  }
}

interface IngestContext {
  readonly db: DuckDb;
  readonly job: IngestJob;
  readonly folder: string;
  readonly files: readonly string[];
  readonly bad: { quarantine: Quarantined };
  readonly onProgress: (progress: IngestProgress) => void;
}

async function ingestFiles({ db, job, folder, files, bad, onProgress }: IngestContext): Promise<IngestedSnapshot> {
  const { spec } = job;
  const at = job.holdoutOnly === true ? holdoutBoundaries(job.asOf) : boundariesOf(spec, job.asOf);
  const source = await openSource(db, spec.data.format, files);
  const columns = matchColumns(spec, source);
  onProgress({ stage: 'reading', rows: source.rows });
  const outsideWindow = await stageRows(db, columns, source, spec, at);
  await markDuplicates(db, columns, spec);
  bad.quarantine = await writeQuarantine(db, columns, source, join(folder, QUARANTINE_FILE));
  await checkBudget(db, bad.quarantine, spec.data.quarantineBudget);
  const leftOut = { outsideWindow, ...(await splitRows(db, columns, spec, at)) };
  const splits = await measureSplits(db, spec, at, job.holdoutOnly === true ? ['holdout'] : SPLITS);
  for (const split of SPLITS) {
    onProgress({ stage: `writing ${split}`, rows: splits[split].rows });
    await writeSplit(db, columns, spec, split, join(folder, splitFile(split)));
  }
  onProgress({ stage: 'digesting', rows: source.rows });
  const rowsDigest = await digestRows(db, columns, spec);
  const reference = job.holdoutOnly === true ? 'holdout' : 'train';
  onProgress({ stage: 'profiling', rows: splits[reference].rows });
  return { rowsDigest, splits, leftOut, profile: await profileSnapshot(db, spec, reference) };
}

/** DuckDB's names for what a file, not a query, is to blame for. Its other errors are defects of ours. */
function isDataError(error: unknown): boolean {
  return /^(IO|Invalid Input|Invalid|Conversion|Out of Range|Serialization|Out of Memory|TransactionContext) Error/.test(
    messageOf(error),
  );
}
