import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fetchTool } from '../../infra/tools/ensure-tool';
import type { Tool } from '../../infra/tools/tool';

/** A process that asks for a tool whose making takes `makeMs` and leaves a line in `journal`. Arguments: cache, journal, makeMs. */
async function main(): Promise<void> {
  const [cache = '', journal = '', makeMs = '0'] = process.argv.slice(2);
  const tool: Tool = {
    name: 'slow',
    version: '1.0.0',
    program: 'slow',
    sources: [
      {
        title: 'making',
        needs: 'nothing',
        make: async (folder) => {
          appendFileSync(journal, `made by ${process.pid}\n`);
          writeFileSync(join(folder, 'half'), '');
          await delay(Number(makeMs));
          writeFileSync(join(folder, 'slow'), '#!/bin/sh\n', { mode: 0o755 });
        },
      },
    ],
  };
  const path = await fetchTool(tool, { cache, onProgress: (line) => process.stderr.write(`${line}\n`) });
  process.stdout.write(path);
}

if (require.main === module) void main();
