import { randomUUID } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { mkdir, readdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { SlipwayConfig } from '../../infra/config/config';
import { followBindings } from '../../infra/endpoints/bindings';
import { openStore } from '../../infra/object-store/open-store';
import { loadKey } from '../../infra/signing/keys';
import { loadTrust } from '../../infra/signing/trust';
import { silentLogger } from '../../infra/telemetry/log';
import type * as Temporal from '../../infra/temporal/connection';
import { registeredSearchAttributes } from '../../infra/temporal/search-attributes';
import { findPortHolder, identify, isAlive } from '../../infra/workspace/process-table';
import { readStackState } from '../../infra/workspace/stack-state';
import { SEARCH_ATTRIBUTES } from '../../workflows/domain/names';
import { counted } from '../../workflows/domain/wording';
import { describeError } from './errors';

export interface Check {
  readonly name: string;
  readonly outcome: 'ok' | 'warning' | 'problem';
  readonly detail: string;
  /** What to do; empty where nothing is to be done. */
  readonly advice: string;
}

const OLDEST_NODE = [20, 3] as const;
/** Temporal's database, snapshots and checkpoints of a small model fit well below this. */
const SMALL_DISK_BYTES = 2 * 1024 ** 3;
const RACERS = 8;

export interface DoctorOptions {
  /** Somebody else's Temporal server: it must answer, and needs no program of ours. */
  readonly externalTemporal: boolean;
  /** Programs that a start would need, and where each was found. */
  readonly tools: Readonly<Record<string, () => Promise<string | undefined>>>;
}

type CheckBody = () => Promise<Omit<Check, 'name'>>;

/** Runs every check; one that throws is a problem with its code and advice. */
export async function runChecks(config: SlipwayConfig, options: DoctorOptions): Promise<Check[]> {
  const bodies: readonly (readonly [string, CheckBody])[] = [
    ['node', checkNode],
    ['disk', () => checkDisk(config.home)],
    ...Object.entries(options.tools).map(([name, find]) => [`tool ${name}`, () => checkTool(name, find)] as const),
    ['stack', () => checkStack(config)],
    ['temporal', () => checkTemporal(config, options.externalTemporal)],
    ['store', () => checkStore(config)],
    ['trust', () => checkTrust(config)],
    ['keys', () => checkKeys(config)],
    ...(config.endpointsFile ? [['endpoints', () => checkEndpoints(config.endpointsFile!)] as const] : []),
  ];
  const checks: Check[] = [];
  for (const [name, body] of bodies) checks.push({ name, ...(await guarded(body)) });
  return checks;
}

async function guarded(body: CheckBody): Promise<Omit<Check, 'name'>> {
  try {
    return await body();
  } catch (error) {
    const { code, message, advice } = describeError(error);
    return { outcome: 'problem', detail: `${code}: ${message}`, advice };
  }
}

const ok = (detail: string): Omit<Check, 'name'> => ({ outcome: 'ok', detail, advice: '' });

async function checkNode(): Promise<Omit<Check, 'name'>> {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const recent = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);
  if (recent) return ok(process.versions.node);
  return {
    outcome: 'problem',
    detail: process.versions.node,
    advice: `Install Node ${OLDEST_NODE.join('.')} or newer.`,
  };
}

async function checkDisk(home: string): Promise<Omit<Check, 'name'>> {
  await mkdir(home, { recursive: true });
  const { bavail, bsize } = await statfs(home);
  const free = bavail * bsize;
  const detail = `${(free / 1024 ** 3).toFixed(1)} GiB free at ${home}`;
  return free >= SMALL_DISK_BYTES
    ? ok(detail)
    : { outcome: 'warning', detail, advice: 'Free some space, or set SLIPWAY_STATE to a larger disk.' };
}

async function checkTool(name: string, find: () => Promise<string | undefined>): Promise<Omit<Check, 'name'>> {
  const path = await find();
  if (path !== undefined) return ok(path);
  return {
    outcome: 'warning',
    detail: 'not here yet',
    advice: `\`slipway up\` fetches or builds ${name} when it is needed.`,
  };
}

async function checkStack(config: SlipwayConfig): Promise<Omit<Check, 'name'>> {
  const state = readStackState(config.home);
  if (!state) return ok(`workspace ${config.workspace} never was up; \`slipway up\` makes it`);
  if (isAlive(state.supervisor)) {
    const dead = Object.entries(state.processes).filter(
      ([, child]) => child.pid === null || !isAlive(identify(child.pid)),
    );
    if (dead.length === 0) return ok(`${state.state}; ${Object.keys(state.processes).join(', ')}`);
    const detail = `not running: ${dead.map(([name]) => name).join(', ')}`;
    return { outcome: 'problem', detail, advice: `See \`slipway logs ${dead[0]![0]}\`.` };
  }
  const taken = Object.entries(state.ports).flatMap(([name, port]) => {
    const holder = findPortHolder(port);
    return holder
      ? [`${name} ${port} (${holder.pid === null ? 'unknown process' : `process ${holder.pid}: ${holder.command}`})`]
      : [];
  });
  if (taken.length === 0) return ok('down; its ports are free');
  return {
    outcome: 'problem',
    detail: `down, but ports are taken: ${taken.join('; ')}`,
    advice: 'End these processes, or start with other ports: `slipway up --help`.',
  };
}

async function checkTemporal(config: SlipwayConfig, external: boolean): Promise<Omit<Check, 'name'>> {
  const state = readStackState(config.home);
  if (!external && (!state || !isAlive(state.supervisor))) {
    return { outcome: 'warning', detail: 'not running', advice: '`slipway up` starts it with everything else.' };
  }
  const temporal = await loadTemporal().connectTemporal(config.temporal);
  try {
    const registered = await registeredSearchAttributes(temporal.connection, config.temporal.namespace);
    const missing = Object.values(SEARCH_ATTRIBUTES).filter((name) => !registered.includes(name));
    if (missing.length === 0) return ok(`${config.temporal.address}, namespace ${config.temporal.namespace}`);
    return {
      outcome: 'problem',
      detail: `search attributes missing: ${missing.join(', ')}`,
      advice: '`slipway up` registers them.',
    };
  } finally {
    await temporal.close();
  }
}

/** The Temporal client takes longer to load than most commands take to run. */
function loadTemporal(): typeof Temporal {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- loaded when used
  return require('../../infra/temporal/connection') as typeof Temporal;
}

/** Commits rest on one thing: of writers that create the same key at once, exactly one wins. */
async function checkStore(config: SlipwayConfig): Promise<Omit<Check, 'name'>> {
  const store = openStore(config.store);
  const key = `doctor/${randomUUID()}`;
  const bytes = Buffer.from('slipway doctor');
  try {
    const wins = await Promise.all(Array.from({ length: RACERS }, () => store.create(key, bytes)));
    const winners = wins.filter(Boolean).length;
    const readBack = await store.get(key);
    const where = config.store.kind === 'fs' ? config.store.root : `s3://${config.store.bucket}/${config.store.prefix}`;
    if (winners === 1 && readBack !== null && Buffer.from(readBack).equals(bytes))
      return ok(`${where}: writable, creates are exclusive`);
    return {
      outcome: 'problem',
      detail: `${where}: ${winners} of ${RACERS} racing creates won`,
      advice: 'Use a store whose conditional writes are exclusive (see docs/operations.md).',
    };
  } finally {
    await store.delete(key);
  }
}

async function checkTrust(config: SlipwayConfig): Promise<Omit<Check, 'name'>> {
  if (!existsSync(config.trustFile))
    return { outcome: 'warning', detail: `no ${config.trustFile}`, advice: '`slipway up` makes one for development.' };
  const { policy } = await loadTrust(config.trustFile);
  if (policy.workspace !== config.workspace) {
    return {
      outcome: 'problem',
      detail: `it is for workspace ${policy.workspace}`,
      advice: 'Set SLIPWAY_TRUST to the file of this workspace.',
    };
  }
  return ok(
    `${counted(policy.keys.length, 'key')}, at least ${counted(policy.minApprovals, 'approval')}, ${policy.production ? 'production' : 'not for production'}`,
  );
}

/** What it binds can be read; whether a server answers is for `slipway endpoint check` to say. */
async function checkEndpoints(file: string): Promise<Omit<Check, 'name'>> {
  const bindings = followBindings(file, { logger: silentLogger });
  const bound = bindings.names().map((name) => `${name} at ${bindings.find(name).origin}`);
  return ok(`${file}: ${bound.length === 0 ? 'binds none' : bound.join(', ')}`);
}

async function checkKeys(config: SlipwayConfig): Promise<Omit<Check, 'name'>> {
  if (!existsSync(config.keyFolder))
    return { outcome: 'warning', detail: `no ${config.keyFolder}`, advice: '`slipway up` makes keys for development.' };
  const files = (await readdir(config.keyFolder)).filter((name) => name.endsWith('.key.json'));
  const open = files.filter((name) => (statSync(join(config.keyFolder, name)).mode & 0o077) !== 0);
  if (open.length > 0)
    return {
      outcome: 'problem',
      detail: `readable by others: ${open.join(', ')}`,
      advice: `chmod 600 ${join(config.keyFolder, '*.key.json')}`,
    };
  await Promise.all(files.map((name) => loadKey(config.keyFolder, name.slice(0, -'.key.json'.length))));
  return ok(`${counted(files.length, 'private key')}, readable by their owner only`);
}
