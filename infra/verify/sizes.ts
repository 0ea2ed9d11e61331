import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

/** ESLint holds the hard limits (400 and 60); these keep the bulk small, which is what the hard limits are for. */
const limits = { fileLines: 250, functionLines: 35, share: 0.9 } as const;
const product = /^(workflows|activities|workers|client|infra)\/.*(?<!\.test)\.ts$/;

/** Nine in ten files under 250 lines and nine in ten functions under 35; the largest are named when it is not so. */
export function sizeProblems(root: string, paths: readonly string[]): string[] {
  const sources = paths
    .filter((path) => product.test(path))
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
  const files = sources.map(({ path, text }) => ({ name: path, lines: text.split('\n').length }));
  const functions = sources.flatMap(({ path, text }) => functionSizes(path, text));
  return [...tooLarge('files', files, limits.fileLines), ...tooLarge('functions', functions, limits.functionLines)];
}

interface Sized {
  readonly name: string;
  readonly lines: number;
}

function tooLarge(what: string, items: readonly Sized[], limit: number): string[] {
  const over = items.filter(({ lines }) => lines > limit).sort((a, b) => b.lines - a.lines);
  if (over.length <= items.length * (1 - limits.share)) return [];
  const worst = over.slice(0, 10).map(({ name, lines }) => `  ${name}: ${lines}`);
  return [`${over.length} of ${items.length} ${what} have more than ${limit} lines; the largest:`, ...worst];
}

function functionSizes(path: string, text: string): Sized[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true);
  const lineOf = (position: number): number => source.getLineAndCharacterOfPosition(position).line + 1;
  const found: Sized[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body) {
      const first = lineOf(node.getStart(source));
      found.push({ name: `${path}:${first}`, lines: lineOf(node.end) - first + 1 });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}
