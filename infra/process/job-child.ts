import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ActivityScope } from './activity-scope';
import { nodeEntry } from './node-entry';
import type { ChildLimits, ChildOutcome } from './port';
import { runChild } from './supervised-child';

const JOB_FILE = 'job.json';
const REPORT_FILE = 'report.json';
/** Of stdout and stderr; a job answers by its report. */
const OUTPUT_BYTES = 65_536;

export interface JobChild<Job> {
  /** Path of an entry of ours that calls `answerJob`, without its ending. */
  readonly entry: string;
  /** The one folder that the child writes to. */
  readonly folder: string;
  readonly job: Job;
  readonly limits: Pick<ChildLimits, 'memoryMb' | 'timeoutMs'>;
  readonly scope: ActivityScope;
}

/** The report of a child that ended well, or how it ended otherwise. */
export type JobAnswer<Report> =
  { readonly ok: true; readonly report: Report } | { readonly ok: false; readonly outcome: ChildOutcome };

/** Gives a job to a limited child of its own and reads what it answers. Its progress is the activity's heartbeat. */
export async function runJobChild<Job, Report>(child: JobChild<Job>): Promise<JobAnswer<Report>> {
  await writeFile(join(child.folder, JOB_FILE), JSON.stringify(child.job));
  const ending = __filename.endsWith('.ts') ? '.ts' : '.js';
  const outcome = await runChild({
    argv: [...nodeEntry(`${child.entry}${ending}`), child.folder],
    limits: { memoryMb: child.limits.memoryMb, timeoutMs: child.limits.timeoutMs, outputBytes: OUTPUT_BYTES },
    onProgress: child.scope.heartbeat,
    ...(child.scope.signal ? { signal: child.scope.signal } : {}),
  });
  if (outcome.limit !== null || outcome.exitCode !== 0) return { ok: false, outcome };
  return { ok: true, report: JSON.parse(await readFile(join(child.folder, REPORT_FILE), 'utf8')) as Report };
}

/** What the child does: its job from the folder it is given, its report into it, whole or not at all. Exit code 1 where `work` throws. */
export function answerJob<Job, Report>(work: (job: Job, folder: string) => Promise<Report>): void {
  answer(process.argv[2] ?? '', work).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exitCode = 1;
  });
}

async function answer<Job, Report>(folder: string, work: (job: Job, folder: string) => Promise<Report>): Promise<void> {
  const job = JSON.parse(await readFile(join(folder, JOB_FILE), 'utf8')) as Job;
  const path = join(folder, REPORT_FILE);
  await writeFile(`${path}.tmp`, JSON.stringify(await work(job, folder)));
  await rename(`${path}.tmp`, path);
}

/** One line of the child's output that the worker's heartbeat repeats. */
export function reportProgress(progress: unknown): void {
  process.stdout.write(`${JSON.stringify({ progress })}\n`);
}
