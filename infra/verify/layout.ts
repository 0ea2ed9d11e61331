/** Top folders of docs/architecture.md, and the files a repository has beside them. */
const folders = ['workflows', 'activities', 'workers', 'client', 'infra', 'test', 'docs', '.ci', '.github'];
const rootFiles =
  /^(package(-lock)?\.json|tsconfig(\.[a-z]+)?\.json|[A-Z]+(\.md)?|\.gitignore|\.npmrc|\.gitlab-ci\.yml|\.prettierrc\.json|\.prettierignore|\.dependency-cruiser\.cjs|eslint\.config\.mjs|jest\.config\.cjs|knip\.json)$/;

const sourceName = /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9-]+)*\.(ts|cjs|mjs|js|py)$/;
const emptyWords = /(^|-)(utils?|helpers?|common|misc|manager)(-|\.)/;

/** Files outside the agreed folders, source files that are not kebab-case, and names that say nothing. */
export function layoutProblems(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    const problem = problemOf(path);
    return problem ? [`${path}: ${problem}`] : [];
  });
}

function problemOf(path: string): string | undefined {
  const parts = path.split('/');
  const name = parts.at(-1) ?? '';
  if (parts.length === 1) return rootFiles.test(name) ? undefined : 'is not a file that the root folder has';
  if (!folders.includes(parts[0] ?? '')) return `is in a folder that docs/architecture.md does not know`;
  if (!/\.(ts|cjs|mjs|js|py)$/.test(name)) return undefined;
  if (!sourceName.test(name)) return 'is not kebab-case';
  if (emptyWords.test(name)) return 'has a name that says nothing of what it holds';
  return undefined;
}
