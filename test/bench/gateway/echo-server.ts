import { join } from 'node:path';
import { nodeEntry } from '../../../infra/process/node-entry';
import { freePorts } from '../../support/ports';
import { startServer, type ServerProcess } from './server-process';

export const ECHO = 'bare node:http echo';

export async function startEcho(): Promise<ServerProcess> {
  const [port] = await freePorts(1);
  return startServer({
    name: ECHO,
    argv: [...nodeEntry(join(__dirname, 'echo-child.ts')), String(port)],
    port: port!,
    isUp: async (origin) => (await fetch(origin, { method: 'POST', body: '{}' })).status === 200,
  });
}
