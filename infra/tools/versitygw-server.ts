import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { SlipwayError } from '../../workflows/domain/errors';
import { ensureTool } from './ensure-tool';
import type { ToolProgress } from './tool';

/** A local S3 server for development and tests. */
export interface LocalS3 {
  readonly endpoint: string;
  readonly region: 'us-east-1';
  readonly pid: number;
  /** For the environment of the AWS client. */
  readonly credentials: { readonly AWS_ACCESS_KEY_ID: string; readonly AWS_SECRET_ACCESS_KEY: string };
  stop(): Promise<void>;
}

export interface LocalS3Options {
  /** Keeps its data here, so that a later start goes on with it. */
  readonly folder: string;
  /** 0 or absent takes a free port. */
  readonly port?: number;
  readonly onProgress?: ToolProgress;
}

const readyTimeoutMs = 15_000;
const stopTimeoutMs = 5_000;
/** Only reachable on this machine's loopback; not a secret. */
const developmentKey = { AWS_ACCESS_KEY_ID: 'slipway-dev', AWS_SECRET_ACCESS_KEY: 'slipway-dev-secret' } as const;

/** Starts versitygw on 127.0.0.1. Throws TOOL_MISSING, or STORE_UNAVAILABLE where it does not come up. */
export async function startLocalS3(options: LocalS3Options): Promise<LocalS3> {
  const binary = await ensureTool('versitygw', options.onProgress);
  const port = options.port || (await freePort());
  const child = launch(binary, port, options.folder);
  const endpoint = `http://127.0.0.1:${port}`;
  const stop = (): Promise<void> => end(child);
  try {
    await waitUntilUp(endpoint, child);
  } catch (error) {
    await stop();
    throw error;
  }
  return { endpoint, region: 'us-east-1', pid: child.pid ?? 0, credentials: developmentKey, stop };
}

function launch(binary: string, port: number, folder: string): ChildProcess {
  const [iam, versions, data] = ['iam', 'versions', 'data'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  for (const path of [iam, versions, data]) mkdirSync(path, { recursive: true });
  const log = openSync(join(folder, 'versitygw.log'), 'a');
  const child = spawn(
    binary,
    ['--port', `127.0.0.1:${port}`, '--iam-dir', iam, '--quiet', 'posix', '--versioning-dir', versions, data],
    {
      env: {
        PATH: process.env['PATH'],
        ROOT_ACCESS_KEY: developmentKey.AWS_ACCESS_KEY_ID,
        ROOT_SECRET_KEY: developmentKey.AWS_SECRET_ACCESS_KEY,
      },
      stdio: ['ignore', 'ignore', log],
    },
  );
  closeSync(log);
  return child;
}

async function waitUntilUp(endpoint: string, child: ChildProcess): Promise<void> {
  const failed = new Promise<never>((_, reject) => {
    child.once('error', (cause) => reject(new SlipwayError('TOOL_MISSING', 'versitygw does not start', { cause })));
    child.once('exit', (code) =>
      reject(new SlipwayError('STORE_UNAVAILABLE', `versitygw ended with ${code} while starting`)),
    );
  });
  const deadline = Date.now() + readyTimeoutMs;
  const answers = async (): Promise<void> => {
    // Any answer will do: without a signature it is 403.
    while (
      !(await fetch(endpoint).then(
        () => true,
        () => false,
      ))
    ) {
      if (Date.now() > deadline) throw new SlipwayError('STORE_UNAVAILABLE', `versitygw did not answer at ${endpoint}`);
      await delay(50);
    }
  };
  await Promise.race([answers(), failed]);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  const force = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
  await ended;
  clearTimeout(force);
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
