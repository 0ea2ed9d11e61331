import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodeEntry } from '../../infra/process/node-entry';
import { type Fleet, ROLES, startFleet } from '../support/worker-fleet';
import type { Outcome } from './scenario';

/** When a worker kills itself: in front of an activity's effect, between its first and its second, after the last, or never. */
export const SIDES = ['none', 'before', 'after-first-write', 'after'] as const;
export type Side = (typeof SIDES)[number];

export interface PlayOptions {
  readonly folder: string;
  /** Workspace, namespace, and folder of the marks: a name of its own for each play. */
  readonly name: string;
  readonly temporalAddress: string;
  readonly side: Side;
  readonly scenario: (fleet: Fleet) => Promise<Outcome>;
  /** Default: `killing-worker`. */
  readonly worker?: string;
  /** Only these are killed. Default: all. */
  readonly activities?: readonly string[];
}

export interface Played {
  readonly outcome: Outcome;
  readonly killed: readonly string[];
  readonly deaths: number;
  readonly seconds: number;
  /** Attempts of each activity's first execution. */
  readonly attempts: ReadonlyMap<string, number>;
}

/** One workspace, one namespace, three workers that die at this side of every boundary. */
export async function play(options: PlayOptions): Promise<Played> {
  const { folder, name, temporalAddress, side, scenario, worker = 'killing-worker', activities = [] } = options;
  const marks = join(folder, `marks-${name}`);
  mkdirSync(marks, { recursive: true });
  const fleet = await startFleet({
    folder,
    workspace: name,
    temporalAddress,
    roles: ROLES,
    env: { CHAOS_FOLDER: marks, CHAOS_SIDE: side, CHAOS_ACTIVITIES: activities.join(',') },
    entry: (role) => [...nodeEntry(join(__dirname, `${worker}.ts`)), role],
  });
  const startedMs = Date.now();
  try {
    const outcome = await scenario(fleet);
    const seconds = (Date.now() - startedMs) / 1000;
    return { outcome, killed: marksIn(marks), deaths: fleet.deaths(), seconds, attempts: attemptsIn(marks) };
  } finally {
    await fleet.stop();
  }
}

const COMPARED = ['outcomes', 'receipts', 'releases', 'onnx', 'routes', 'approvals', 'auditKinds'] as const;

/** In what a play that was disturbed differs from one that was not. */
export function divergences(calm: Outcome, disturbed: Outcome): string[] {
  return COMPARED.filter((part) => JSON.stringify(disturbed[part]) !== JSON.stringify(calm[part])).map(
    (part) => `${part}: ${JSON.stringify(disturbed[part])} instead of ${JSON.stringify(calm[part])}`,
  );
}

function marksIn(marks: string): string[] {
  const killed = join(marks, 'killed');
  return existsSync(killed) ? readdirSync(killed).sort() : [];
}

function attemptsIn(marks: string): Map<string, number> {
  const attempts = new Map<string, number>();
  for (const line of readFileSync(join(marks, 'calls'), 'utf8').trim().split('\n')) {
    const [execution] = line.split(' ');
    attempts.set(execution!, (attempts.get(execution!) ?? 0) + 1);
  }
  return attempts;
}
