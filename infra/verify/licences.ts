import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Licences that a program under Apache-2.0 may depend on without duties beyond notice. */
const allowed = new Set([
  'MIT',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'ISC',
  '0BSD',
  'BlueOak-1.0.0',
  'Unlicense',
  'CC0-1.0',
]);

/** Packages whose licence is none of these, each with the reason why it is fine. */
const accepted: Readonly<Record<string, string>> = {
  'caniuse-lite': 'CC-BY-4.0 covers a table of browser versions, read at bundling only',
  unionfs: 'its package.json has no licence field; its LICENSE file is the Unlicense',
};

interface LockEntry {
  readonly license?: string;
  readonly dev?: boolean;
}

/** Production packages of the lock whose licence is not on the list. */
export function licenceProblems(root: string): string[] {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, LockEntry>;
  };
  return Object.entries(lock.packages).flatMap(([path, entry]) => {
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    if (path === '' || entry.dev || name in accepted || isAllowed(entry.license ?? '')) return [];
    return [`${name}: licence ${entry.license ?? 'not stated'} is not on the list in infra/verify/licences.ts`];
  });
}

/** An SPDX expression of names with AND and OR, read left to right; nested brackets do not occur in the lock. */
export function isAllowed(expression: string): boolean {
  const flat = expression.replace(/[()]/g, '');
  return flat.split(' OR ').some((choice) => choice.split(' AND ').every((name) => allowed.has(name.trim())));
}
