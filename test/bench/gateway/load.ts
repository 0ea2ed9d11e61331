import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { nodeEntry } from '../../../infra/process/node-entry';
import { ID_PREFIX_LENGTH } from './request-file';

export const CONNECTIONS = 32;
/** For models of milliseconds: keeps two threads busy, and the gateway refuses no request as one that would wait for too long. */
export const FEW_CONNECTIONS = 4;
/** Longer than any answer of the bench takes; wrk's own two seconds are not, for a model of half a second. */
const TIMEOUT_SECONDS = 30;

/** What a load saw from outside. */
export interface LoadResult {
  readonly requests: number;
  readonly seconds: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly maxUs: number;
  /** Answers whose status was not 2xx or 3xx. */
  readonly badStatus: number;
  /** Connections that were refused, cut or not answered in time. */
  readonly broken: number;
}

/** Keeps so many requests under way (CONNECTIONS where it is not said) against `origin`, from a process of its own. */
export type Load = (origin: string, requestFile: string, seconds: number, connections?: number) => Promise<LoadResult>;

export interface LoadTool {
  readonly name: string;
  readonly run: Load;
}

export function findOnPath(program: string, path = process.env['PATH'] ?? ''): string | null {
  return (
    path
      .split(delimiter)
      .map((folder) => join(folder, program))
      .find((file) => existsSync(file)) ?? null
  );
}

/** wrk, or where it is not installed a slower one in Node: its CPU time is not the server's, but it takes more of the machine. */
export function findLoadTool(say: (text: string) => void): LoadTool {
  const wrk = findOnPath('wrk');
  if (wrk !== null) return { name: `wrk -t1 -c${CONNECTIONS}`, run: (...load) => runWrk(wrk, ...load) };
  say(
    'wrk is not installed (Debian: apt-get install wrk; macOS: brew install wrk): a load generator in Node takes its place',
  );
  return { name: `a load generator in Node with ${CONNECTIONS} connections`, run: runNode };
}

const newPrefix = (): string => randomBytes(ID_PREFIX_LENGTH / 2).toString('hex');

function runWrk(
  wrk: string,
  origin: string,
  requestFile: string,
  seconds: number,
  connections = CONNECTIONS,
): Promise<LoadResult> {
  const settings = ['-t1', `-c${connections}`, `-d${seconds}s`, `--timeout=${TIMEOUT_SECONDS}s`];
  const script = join(__dirname, 'requests.lua');
  return measure([wrk, ...settings, '-s', script, origin, '--', requestFile, newPrefix()], seconds);
}

function runNode(origin: string, requestFile: string, seconds: number, connections = CONNECTIONS): Promise<LoadResult> {
  const entry = nodeEntry(join(__dirname, 'load-child.ts'));
  return measure([...entry, origin, requestFile, newPrefix(), String(seconds), String(connections)], seconds);
}

async function measure([program, ...argv]: readonly string[], seconds: number): Promise<LoadResult> {
  const timeout = (seconds + 2 * TIMEOUT_SECONDS) * 1_000;
  return parseMeasured((await promisify(execFile)(program!, argv, { timeout })).stdout);
}

/** Throws where the output has no measurement: what it says instead is in the error. */
export function parseMeasured(stdout: string): LoadResult {
  const json = /^MEASURED (\{.*\})$/m.exec(stdout)?.[1];
  if (json === undefined) throw new Error(`the load generator measured nothing: ${stdout.trim().slice(0, 500)}`);
  return JSON.parse(json) as LoadResult;
}
