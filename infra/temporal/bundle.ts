import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { version as sdkVersion } from '@temporalio/workflow/package.json';
import { cacheFolder } from '../tools/tool-cache';

const workflowsFolder = resolve(__dirname, '../../workflows');

/** The workflow code as one script, with its source map inside. Takes seconds: use `workflowBundlePath` where it may be kept. */
export async function buildWorkflowBundle(entry = join(workflowsFolder, 'index.ts')): Promise<{ code: string }> {
  const { code } = await bundleWorkflowCode({ workflowsPath: entry, logger: new DefaultLogger('ERROR') });
  return { code };
}

/**
 * File of the bundle of this very workflow code, for `Worker.create({ workflowBundle: { codePath } })`. Built once per digest of the
 * sources and kept in the cache, so that workers start at once and tests share it; safe when several build at once.
 */
export async function workflowBundlePath(): Promise<string> {
  const file = join(cacheFolder(), `workflow-bundle-${sdkVersion}`, `${await digestSources(workflowsFolder)}.js`);
  if (existsSync(file)) return file;
  const { code } = await buildWorkflowBundle();
  await mkdir(join(file, '..'), { recursive: true });
  const attempt = `${file}.${process.pid}.${Date.now()}`;
  await writeFile(attempt, code);
  await rename(attempt, file);
  return file;
}

async function digestSources(folder: string): Promise<string> {
  const hash = createHash('sha256');
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter(
    (entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts'),
  );
  for (const file of files.map((entry) => join(entry.parentPath, entry.name)).sort()) {
    hash
      .update(file.slice(folder.length))
      .update('\0')
      .update(await readFile(file))
      .update('\0');
  }
  return hash.digest('hex').slice(0, 32);
}
