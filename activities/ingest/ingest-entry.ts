import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { JOB_FILE, REPORT_FILE, type IngestJob } from './job';
import { runIngestJob } from './run-job';

/** Entry of the limited child: reads `job.json` of the folder it is given, leaves its report there. */
async function main(folder: string): Promise<void> {
  const job = JSON.parse(await readFile(join(folder, JOB_FILE), 'utf8')) as IngestJob;
  const report = await runIngestJob(job, folder, (progress) =>
    process.stdout.write(`${JSON.stringify({ progress })}\n`),
  );
  const path = join(folder, REPORT_FILE);
  await writeFile(`${path}.tmp`, JSON.stringify(report));
  await rename(`${path}.tmp`, path);
}

main(process.argv[2]!).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
});
