import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isMissing } from './fs-errors';
import { compareKeys, TEMPORARY_FOLDER } from './key-rules';

interface Walk {
  readonly root: string;
  readonly prefix: string;
  readonly after: string | undefined;
  readonly limit: number;
  readonly found: string[];
}

/** Keys with the prefix, in the order of their UTF-8 bytes, strictly after `after`, at most `limit`. */
export async function listKeys(
  root: string,
  prefix: string,
  after: string | undefined,
  limit: number,
): Promise<string[]> {
  const walk: Walk = { root, prefix, after, limit, found: [] };
  await walkFolder(walk, prefix.slice(0, prefix.lastIndexOf('/') + 1));
  return walk.found;
}

/** `folder` is '' or ends with a slash. Folders sort as their name with the slash: `a.b` comes before `a/b`. */
async function walkFolder(walk: Walk, folder: string): Promise<void> {
  const entries = await entriesOf(join(walk.root, folder));
  const names = entries
    .map((entry) => folder + entry.name + (entry.isDirectory() ? '/' : ''))
    .filter((name) => name !== `${TEMPORARY_FOLDER}/`)
    .sort(compareKeys);
  for (const name of names) {
    if (walk.found.length >= walk.limit) return;
    if (!name.endsWith('/')) takeKey(walk, name);
    else if (mayHoldKeys(walk, name)) await walkFolder(walk, name);
  }
}

function takeKey(walk: Walk, key: string): void {
  if (!key.startsWith(walk.prefix)) return;
  if (walk.after !== undefined && compareKeys(key, walk.after) <= 0) return;
  walk.found.push(key);
}

/** False where no key in the folder can have the prefix, or all of them come before `after`. */
function mayHoldKeys(walk: Walk, folder: string): boolean {
  if (!folder.startsWith(walk.prefix) && !walk.prefix.startsWith(folder)) return false;
  return walk.after === undefined || walk.after.startsWith(folder) || compareKeys(folder, walk.after) > 0;
}

async function entriesOf(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
