import { availableParallelism } from 'node:os';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { layoutProblems } from './layout';
import { licenceProblems } from './licences';
import { sizeProblems } from './sizes';
import { sourceFiles } from './source-files';

const root = join(__dirname, '..', '..');

/** One check: a title, and the problems it found as text, '' when there are none. */
interface Check {
  readonly title: string;
  readonly find: () => Promise<string>;
}

const checks: readonly Check[] = [
  { title: 'layout', find: async () => layoutProblems(await sourceFiles(root)).join('\n') },
  { title: 'sizes', find: async () => sizeProblems(root, await sourceFiles(root)).join('\n') },
  { title: 'licences', find: async () => licenceProblems(root).join('\n') },
  { title: 'types', find: () => runBin('typescript/bin/tsc', '--noEmit', '-p', '.') },
  { title: 'types of workflows without Node', find: () => runBin('typescript/bin/tsc', '--noEmit', '-p', 'workflows') },
  { title: 'format', find: () => runBin('prettier/bin/prettier.cjs', '--check', '--log-level', 'warn', '.') },
  { title: 'lint', find: () => runBin('eslint/bin/eslint.js', '--max-warnings', '0', '.') },
  {
    title: 'layers',
    find: () => runBin('dependency-cruiser/bin/dependency-cruise.mjs', '--output-type', 'err', ...layered),
  },
  { title: 'dead code', find: () => runBin('knip/bin/knip.js', '--no-progress') },
];

const layered = ['workflows', 'activities', 'workers', 'client', 'infra', 'test'];

/** What a program of a package printed when it did not exit 0; '' when it did. */
function runBin(program: string, ...argv: string[]): Promise<string> {
  const file = join(root, 'node_modules', program);
  return new Promise((resolve) => {
    execFile(process.execPath, [file, ...argv], { cwd: root, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      resolve(error ? `${stdout}${stderr}`.trim() || error.message : '');
    });
  });
}

async function runCheck(check: Check): Promise<boolean> {
  const startedMs = Date.now();
  const problems = await check.find();
  const took = `${((Date.now() - startedMs) / 1000).toFixed(1)} s`;
  process.stdout.write(
    problems === '' ? `ok    ${check.title} (${took})\n` : `FAIL  ${check.title} (${took})\n${problems}\n`,
  );
  return problems === '';
}

/** Runs all checks, also after one failed, as many at once as there are cores. */
async function main(): Promise<void> {
  const waiting = [...checks];
  const results: boolean[] = [];
  const lane = async (): Promise<void> => {
    for (let check = waiting.shift(); check; check = waiting.shift()) results.push(await runCheck(check));
  };
  await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, lane));
  process.exitCode = results.every(Boolean) ? 0 : 1;
}

void main();
