import { createServer } from 'node:net';
import { SlipwayError } from '../../workflows/domain/errors';
import { reservePort } from './port-reservation';
import { findPortHolder } from './process-table';

export const STACK_PORTS = [
  'temporal',
  'temporalUi',
  'gateway',
  'gatewayGrpc',
  'controlMetrics',
  'computeMetrics',
  'gpuMetrics',
] as const;
export type StackPort = (typeof STACK_PORTS)[number];
export type StackPorts = Readonly<Record<StackPort, number>>;

/** Where a search for a free port begins: the ports that people know these services by. */
const USUAL: StackPorts = {
  temporal: 7233,
  temporalUi: 8233,
  gateway: 8080,
  gatewayGrpc: 8081,
  controlMetrics: 9464,
  computeMetrics: 9465,
  gpuMetrics: 9466,
};

const SEARCH_LENGTH = 500;

/** Whether a server could listen on the port of 127.0.0.1 now. */
export async function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** Throws PORT_TAKEN that names the process holding the port. */
export async function requirePortFree(port: number, purpose: string): Promise<void> {
  if (await isPortFree(port)) return;
  const holder = findPortHolder(port);
  const who = holder?.pid ? `process ${holder.pid} (${holder.command ?? 'unknown command'})` : 'another process';
  throw new SlipwayError('PORT_TAKEN', `port ${port} (${purpose}) is held by ${who}`);
}

/**
 * Ports of a stack: what was asked for or remembered must be free (PORT_TAKEN); the rest is the usual port, or the next free one,
 * so that a second workspace needs no options.
 */
export async function choosePorts(
  asked: Partial<StackPorts>,
  remembered: Partial<StackPorts>,
  needed: readonly StackPort[],
): Promise<StackPorts> {
  const chosen: Partial<Record<StackPort, number>> = {};
  for (const name of STACK_PORTS) {
    const wanted = asked[name] ?? remembered[name];
    if (wanted !== undefined) {
      if (needed.includes(name)) await requirePortFree(wanted, name);
      reservePort(wanted);
      chosen[name] = wanted;
    } else {
      chosen[name] = await nextFreePort(USUAL[name], Object.values(chosen));
    }
  }
  return chosen as StackPorts;
}

async function nextFreePort(from: number, taken: readonly number[]): Promise<number> {
  for (let port = from; port < from + SEARCH_LENGTH; port += 1) {
    if (!taken.includes(port) && reservePort(port) && (await isPortFree(port))) return port;
  }
  throw new SlipwayError('PORT_TAKEN', `no free port between ${from} and ${from + SEARCH_LENGTH}`);
}
