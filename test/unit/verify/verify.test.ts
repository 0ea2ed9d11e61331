import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { layoutProblems } from '../../../infra/verify/layout';
import { isAllowed, licenceProblems } from '../../../infra/verify/licences';
import { sizeProblems } from '../../../infra/verify/sizes';
import { temporaryFolder } from '../../support/temporary-folder';

const root = join(__dirname, '..', '..', '..');

describe('the layout check', () => {
  it.each([
    'workflows/domain/route.ts',
    'infra/bootstrap.cjs',
    'README.md',
    'docs/errors.md',
    'test/unit/a.test.ts',
    '.ci/run',
  ])('lets %s be', (path) => expect(layoutProblems([path])).toEqual([]));

  it.each([
    'src/a.ts',
    'notes.txt',
    'infra/fsStore.ts',
    'infra/Store.ts',
    'infra/string-utils.ts',
    'client/helpers.ts',
    'workers/common.ts',
  ])('names %s', (path) => expect(layoutProblems([path])).toHaveLength(1));
});

describe('the licence check', () => {
  it.each([
    ['MIT', true],
    ['(MIT OR GPL-3.0)', true],
    ['Apache-2.0 AND MIT', true],
    ['Apache-2.0 AND GPL-3.0', false],
    ['AGPL-3.0', false],
    ['', false],
  ])('of %j says %p', (expression, allowed) => expect(isAllowed(expression)).toBe(allowed));

  it('names a production package under another licence, and leaves out what only development uses', () => {
    const folder = temporaryFolder('licences');
    const packages = {
      '': {},
      'node_modules/a': { license: 'MIT' },
      'node_modules/a/node_modules/@x/b': { license: 'GPL-3.0' },
      'node_modules/c': { license: 'GPL-3.0', dev: true },
      'node_modules/d': {},
    };
    writeFileSync(join(folder.path, 'package-lock.json'), JSON.stringify({ packages }));

    expect(licenceProblems(folder.path).map((line) => line.split(':')[0])).toEqual(['@x/b', 'd']);
    folder.remove();
  });
});

describe('the size check', () => {
  it('speaks when more than one in ten functions is long, and names the longest', () => {
    const folder = temporaryFolder('sizes');
    mkdirSync(join(folder.path, 'infra'));
    const short = Array.from({ length: 8 }, (_, index) => `function f${index}() { return ${index}; }`).join('\n');
    const long = `function long() {\n${'  // line\n'.repeat(40)}}\n`;
    writeFileSync(join(folder.path, 'infra', 'a.ts'), `${short}\n${long}`);

    expect(sizeProblems(folder.path, ['infra/a.ts'])).toEqual([
      '1 of 9 functions have more than 35 lines; the largest:',
      '  infra/a.ts:9: 42',
    ]);
    folder.remove();
  });
});

describe('the layers', () => {
  const refused: readonly [string, string][] = [
    ['workflows/domain/a1.ts', 'infra/b.ts'],
    ['workflows/domain/a2.ts', 'workflows/lifecycle.messages.ts'],
    ['workflows/a3.ts', 'infra/b.ts'],
    ['activities/train/a4.ts', 'activities/ingest/b.ts'],
    ['infra/a5.ts', 'client/b.ts'],
    ['infra/a6.ts', 'workflows/lifecycle.ts'],
    ['client/a7.ts', 'activities/ingest/b.ts'],
    ['workers/a8.ts', 'client/b.ts'],
    ['workers/a9.ts', 'workflows/lifecycle.ts'],
    ['infra/a10.ts', 'test/support/b.ts'],
  ];
  const allowed: readonly [string, string][] = [
    ['activities/train/c1.ts', 'infra/b.ts'],
    ['activities/train/c2.ts', 'activities/train/b.ts'],
    ['client/c3.ts', 'workflows/lifecycle.messages.ts'],
    ['infra/c4.ts', 'workflows/domain/b.ts'],
    ['workers/c5.ts', 'activities/train/b.ts'],
  ];

  it('refuse exactly the imports that the table of docs/architecture.md does not have', () => {
    const found = crossedLayers([...refused, ...allowed]);

    expect(found).toEqual(refused.map(([from, to]) => `${from} → ${to}`).sort());
  }, 120_000);
});

/** Pairs that dependency-cruiser refuses, under our rules, in a tree where each file imports the other of its pair. */
function crossedLayers(imports: readonly (readonly [string, string])[]): string[] {
  const folder = temporaryFolder('layers');
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(folder.path, path)), { recursive: true });
    writeFileSync(join(folder.path, path), text);
  };
  for (const [, to] of imports) write(to, 'export const b = 1;\n');
  for (const [from, to] of imports) {
    const path = `${'../'.repeat(from.split('/').length - 1)}${to.replace(/\.ts$/, '')}`;
    write(from, `import { b } from '${path}';\nexport const a = b;\n`);
  }
  write('tsconfig.json', '{}');
  const cruiser = join(root, 'node_modules', 'dependency-cruiser', 'bin', 'dependency-cruise.mjs');
  const rules = join(root, '.dependency-cruiser.cjs');
  const tops = [...new Set(imports.flat().map((path) => path.split('/')[0] ?? ''))];
  const argv = [cruiser, '--config', rules, '--output-type', 'json', ...tops];
  const { stdout } = spawnSync(process.execPath, argv, { cwd: folder.path, encoding: 'utf8' });
  folder.remove();
  const { summary } = JSON.parse(stdout) as { summary: { violations: { from: string; to: string }[] } };
  return [...new Set(summary.violations.map(({ from, to }) => `${from} → ${to}`))].sort();
}

describe('the last line of CI', () => {
  const folder = temporaryFolder('count');
  const file = join(folder.path, 'jest.json');
  afterAll(() => folder.remove());
  const count = (results: object | null, checkExit: number, testExit: number): [string, number | null] => {
    writeFileSync(file, results === null ? 'not JSON' : JSON.stringify(results));
    const script = join(root, 'infra', 'verify', 'count-results.cjs');
    const run = spawnSync(process.execPath, [script, file, String(checkExit), String(testExit)], { encoding: 'utf8' });
    return [run.stdout, run.status];
  };
  const results = {
    numPassedTests: 9,
    numFailedTests: 0,
    numRuntimeErrorTestSuites: 0,
    numPendingTests: 0,
    numTodoTests: 0,
  };

  it('counts what passed, with the checks as one', () => {
    expect(count(results, 0, 0)).toEqual(['10 passed, 0 failed\n', 0]);
    expect(count({ ...results, numPendingTests: 2 }, 0, 0)).toEqual(['10 passed, 0 failed, 2 skipped\n', 0]);
  });

  it('fails for a test, a suite that does not load, the checks, a crash of jest, and no result at all', () => {
    expect(count({ ...results, numFailedTests: 1 }, 0, 1)).toEqual(['10 passed, 1 failed\n', 1]);
    expect(count({ ...results, numRuntimeErrorTestSuites: 1 }, 0, 1)).toEqual(['10 passed, 1 failed\n', 1]);
    expect(count(results, 1, 0)).toEqual(['9 passed, 1 failed\n', 1]);
    expect(count(results, 0, 1)).toEqual(['10 passed, 1 failed\n', 1]);
    expect(count(null, 0, 0)).toEqual(['1 passed, 1 failed\n', 1]);
  });

  it('comes from a script that the shell can read', () => {
    expect(() => execFileSync('bash', ['-n', join(root, '.ci', 'run')])).not.toThrow();
  });
});
