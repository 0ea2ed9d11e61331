import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { SlipwayError } from '../../workflows/domain/errors';
import { SEARCH_ATTRIBUTES } from '../../workflows/domain/names';
import { connectTemporal } from './connection';

export interface LocalServerOptions {
  /** Path of the `temporal` program. */
  readonly binary: string;
  readonly port: number;
  /** Null starts no web UI. */
  readonly uiPort: number | null;
  /** SQLite file; null keeps everything in memory. */
  readonly databaseFile: string | null;
  readonly namespace: string;
}

export interface LocalServer {
  readonly address: string;
  readonly pid: number;
  stop(): Promise<void>;
}

const READY_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 10_000;

/** Arguments of `temporal` for a development server with our namespace and search attributes, on 127.0.0.1 only. */
export function localServerArguments(options: LocalServerOptions): string[] {
  const attributes = Object.values(SEARCH_ATTRIBUTES).flatMap((name) => ['--search-attribute', `${name}=Keyword`]);
  return [
    ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(options.port), '--namespace', options.namespace],
    ...(options.uiPort === null ? ['--headless'] : ['--ui-port', String(options.uiPort), '--ui-disable-news-fetch']),
    ...(options.databaseFile === null ? [] : ['--db-filename', options.databaseFile]),
    ...attributes,
    // A search attribute may be used by the very next start; the default would cache the old set for a minute.
    ...['--dynamic-config-value', 'system.forceSearchAttributesCacheRefreshOnRead=true'],
    ...['--log-level', 'warn'],
  ];
}

/** Resolves when the server answers and knows the namespace. Throws TEMPORAL_UNAVAILABLE after `timeoutMs`. */
export async function waitForServer(address: string, namespace: string, timeoutMs = READY_TIMEOUT_MS): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    try {
      const temporal = await connectTemporal({ address, namespace });
      try {
        await temporal.connection.workflowService.describeNamespace({ namespace });
        return;
      } finally {
        await temporal.close();
      }
    } catch (error) {
      if (Date.now() > deadline) {
        throw new SlipwayError('TEMPORAL_UNAVAILABLE', `Temporal at ${address} was not ready in ${timeoutMs} ms`, {
          cause: error,
        });
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** A server of one's own, for tests and tools; `slipway up` runs the same arguments under its supervisor. */
export async function startLocalServer(options: LocalServerOptions): Promise<LocalServer> {
  if (options.databaseFile !== null) mkdirSync(dirname(options.databaseFile), { recursive: true });
  const child = spawn(options.binary, localServerArguments(options), { stdio: 'ignore' });
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const failed = new Promise<never>((_, reject) => {
    child.once('error', (error) =>
      reject(new SlipwayError('TOOL_MISSING', `${options.binary} does not start`, { cause: error })),
    );
    void exited.then(() =>
      reject(new SlipwayError('TEMPORAL_UNAVAILABLE', 'the local Temporal server ended while starting')),
    );
  });
  const address = `127.0.0.1:${options.port}`;
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    const force = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(force);
  };
  try {
    await Promise.race([waitForServer(address, options.namespace), failed]);
  } catch (error) {
    await stop();
    throw error;
  }
  return { address, pid: child.pid!, stop };
}
