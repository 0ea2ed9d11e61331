import { join } from 'node:path';
import { TOOLS } from '../../infra/tools/catalogue';
import { cacheFolder, isExecutable } from '../../infra/tools/tool-cache';

/** Where the Temporal program is: on PATH, or where `slipway up` put it. Undefined where it is not here yet. */
export async function findTemporal(): Promise<string | undefined> {
  const tool = TOOLS['temporal-cli'];
  const cached = join(cacheFolder(), `${tool.name}-${tool.version}`, tool.program);
  return (await tool.findInstalled()) ?? ((await isExecutable(cached)) ? cached : undefined);
}
