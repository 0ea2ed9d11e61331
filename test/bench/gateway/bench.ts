import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BenchContext } from './bench-context';
import { parseBenchOptions, USAGE, type BenchOptions, type SectionId } from './bench-options';
import { findLoadTool } from './load';
import { describeRun, loadNow } from './machine';
import { replaceBetweenMarkers, sectionMarkdown, type SectionReport } from './report';
import { measureBinary } from './sections/binary';
import { measureEndurance } from './sections/endurance';
import { measureLiveness } from './sections/liveness';
import { measureRoutes } from './sections/routes';
import { measureSingleRows } from './sections/single-rows';
import { measureSwaps } from './sections/swap';
import { measureThreads } from './sections/threads';

const PAGE = join(__dirname, '../../../docs/benchmarks.md');
const say = (text: string): void => void process.stderr.write(`${text}\n`);

const MEASURES: Readonly<Record<SectionId, (context: BenchContext) => Promise<SectionReport>>> = {
  a: measureSingleRows,
  b: measureBinary,
  c: measureLiveness,
  d: measureThreads,
  e: measureRoutes,
  f: measureSwaps,
  g: measureEndurance,
};

function readOptions(argv: readonly string[]): BenchOptions {
  try {
    return parseBenchOptions(argv);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${USAGE}`);
    process.exit(2);
  }
}

/** A section that fails is told and fails the run; the others are measured all the same. */
async function measureSection(context: BenchContext, id: SectionId, argv: readonly string[]): Promise<boolean> {
  const startLoad = loadNow();
  say(`section ${id}`);
  try {
    const report = await MEASURES[id](context);
    const peers = id === 'a' ? context.options.peers : [];
    const text = sectionMarkdown({ ...report, remarks: [...report.remarks, describeRun(argv, peers, startLoad)] });
    process.stdout.write(`${text}\n\n`);
    if (context.options.isWritten) writeFileSync(PAGE, replaceBetweenMarkers(readFileSync(PAGE, 'utf8'), id, text));
    return true;
  } catch (error) {
    say(`section ${id} failed: ${(error as Error).stack}`);
    return false;
  }
}

async function main(argv: readonly string[]): Promise<void> {
  const options = readOptions(argv);
  if (process.platform !== 'linux') throw new Error('CPU time is read from /proc: the bench runs on Linux');
  const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-'));
  const context: BenchContext = { options, load: findLoadTool(say), folder, say };
  try {
    for (const id of options.sections) if (!(await measureSection(context, id, argv))) process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

main(process.argv.slice(2)).catch((error: Error) => {
  say(error.message);
  process.exitCode = 1;
});
