import { join } from 'node:path';
import { SlipwayError } from '../../workflows/domain/errors';
import { TOOLS, type ToolName } from './catalogue';
import { withFileLock } from './file-lock';
import { cacheFolder, fillFolder, isExecutable } from './tool-cache';
import type { Tool, ToolProgress } from './tool';

const progressEveryMs = 5_000;

export interface FetchToolOptions {
  readonly cache?: string;
  readonly onProgress?: ToolProgress;
  readonly progressEveryMs?: number;
}

/**
 * Path of a program that Slipway needs: the machine's own, else the cached one, else fetched or built once and cached outside
 * the checkout by version. Safe when several processes ask at once. Throws TOOL_MISSING, which names what to install.
 */
export async function ensureTool(name: ToolName, onProgress: ToolProgress = () => undefined): Promise<string> {
  return fetchTool(TOOLS[name], { onProgress });
}

/** `ensureTool` for any tool and cache. */
export async function fetchTool(tool: Tool, options: FetchToolOptions = {}): Promise<string> {
  const installed = await tool.findInstalled?.();
  if (installed) return installed;
  const cache = options.cache ?? cacheFolder();
  const folder = join(cache, `${tool.name}-${tool.version}`);
  const program = join(folder, tool.program);
  if (await isExecutable(program)) return program;
  const label = `${tool.name} ${tool.version}`;
  const ticker = startTicker(label, options);
  try {
    const waitFor = (pid: number): void => ticker.say(`process ${pid} is fetching it`);
    await withFileLock(
      `${folder}.lock`,
      async () => {
        if (!(await isExecutable(program))) await fillFromSources(tool, folder, ticker.say);
      },
      { onWait: (holder) => waitFor(holder.pid) },
    );
  } finally {
    ticker.stop();
  }
  return program;
}

async function fillFromSources(tool: Tool, folder: string, say: (text: string) => void): Promise<void> {
  const failures: string[] = [];
  for (const source of tool.sources) {
    say(source.title);
    try {
      await fillFolder(folder, (draft) => source.make(draft));
      return;
    } catch (error) {
      failures.push(`${source.title}: ${messageOf(error)}`);
      say(`${source.title} did not work`);
    }
  }
  const needs = tool.sources.map((source) => source.needs).join(', or ');
  throw new SlipwayError('TOOL_MISSING', `${tool.name} ${tool.version} needs ${needs}. Tried: ${failures.join('; ')}`);
}

/** `fetch` says only "fetch failed"; the reason is one level down. */
function messageOf(error: unknown): string {
  const { message, cause } = (error ?? {}) as { message?: string; cause?: { message?: string } };
  return `${message ?? String(error)}${cause?.message === undefined ? '' : ` (${cause.message})`}`;
}

/** Says what is happening now, at each change and every few seconds, with the time since the start. */
function startTicker(label: string, options: FetchToolOptions): { say: (text: string) => void; stop: () => void } {
  const startedMs = Date.now();
  let current = '';
  const show = (): void => {
    if (current !== '') options.onProgress?.(`${label}: ${current}, ${Math.round((Date.now() - startedMs) / 1000)} s`);
  };
  const timer = setInterval(show, options.progressEveryMs ?? progressEveryMs);
  return {
    say: (text) => {
      if (text === current) return;
      current = text;
      show();
    },
    stop: () => clearInterval(timer),
  };
}
