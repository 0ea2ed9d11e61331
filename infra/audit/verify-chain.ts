import { keys } from '../../workflows/domain/keys';
import type { ModelName } from '../../workflows/domain/names';
import type { ObjectStore } from '../object-store/port';
import { FIRST_SEQUENCE, listSequences, parseEntry } from './chain';
import type { LoggedEntry } from './port';

/**
 * missing: an entry was taken out. changed: an entry is not what the chain, a checkpoint or a head says. misplaced: entries were
 * reordered. truncated: the end of the chain is gone. checkpoint: a signed head does not verify. effect: a route, release or
 * approval without its entry, or gone.
 */
export type AuditProblemKind = 'missing' | 'changed' | 'misplaced' | 'truncated' | 'checkpoint' | 'effect';

export interface AuditProblem {
  readonly kind: AuditProblemKind;
  /** Key of the object that shows it. */
  readonly key: string;
  readonly detail: string;
}

/** The chain as far as it can be read: entries by sequence, whatever else is wrong. */
export interface ReadChain {
  readonly entries: ReadonlyMap<number, LoggedEntry>;
  readonly last: number;
}

const readAhead = 32;

/** Reads every entry that is listed, and says where they do not make one chain. */
export async function verifyChain(
  store: ObjectStore,
  workspace: string,
  model: ModelName,
  problems: AuditProblem[],
): Promise<ReadChain> {
  const sequences = await listSequences(store, model);
  const entries = new Map<number, LoggedEntry>();
  for (let from = 0; from < sequences.length; from += readAhead) {
    const batch = sequences.slice(from, from + readAhead);
    const read = await Promise.all(batch.map((sequence) => readAny(store, model, sequence, problems)));
    for (const [index, logged] of read.entries()) if (logged) entries.set(batch[index]!, logged);
  }
  const last = sequences.at(-1) ?? 0;
  const ids = new Map<string, number>();
  for (let sequence = FIRST_SEQUENCE; sequence <= last; sequence += 1)
    checkLink({ workspace, model, sequence, entries, ids, problems });
  return { entries, last };
}

async function readAny(
  store: ObjectStore,
  model: ModelName,
  sequence: number,
  problems: AuditProblem[],
): Promise<LoggedEntry | null> {
  const key = keys.auditEntry(model, sequence);
  const bytes = await store.get(key);
  const logged = bytes ? parseEntry(bytes) : null;
  if (bytes && !logged) problems.push({ kind: 'changed', key, detail: `entry ${sequence} is not an audit entry` });
  return logged;
}

interface Link {
  readonly workspace: string;
  readonly model: ModelName;
  readonly sequence: number;
  readonly entries: ReadonlyMap<number, LoggedEntry>;
  readonly ids: Map<string, number>;
  readonly problems: AuditProblem[];
}

function checkLink({ workspace, model, sequence, entries, ids, problems }: Link): void {
  const key = keys.auditEntry(model, sequence);
  const logged = entries.get(sequence);
  if (!logged) {
    if (!problems.some((problem) => problem.key === key))
      problems.push({ kind: 'missing', key, detail: `entry ${sequence} was taken out` });
    return;
  }
  const { entry } = logged;
  if (entry.sequence !== sequence || entry.model !== model)
    return void problems.push({
      kind: 'misplaced',
      key,
      detail: `entry ${entry.sequence} of ${entry.model} is in the place of ${sequence}`,
    });
  if (entry.workspace !== workspace)
    problems.push({ kind: 'changed', key, detail: `entry ${sequence} is of workspace ${entry.workspace}` });
  const before = entries.get(sequence - 1);
  const expected = sequence === FIRST_SEQUENCE ? null : before?.ref.digest;
  // Without the entry before there is nothing to compare with, and its absence is a problem of its own.
  if (expected !== undefined && entry.previous !== expected)
    problems.push({
      kind: 'changed',
      key,
      detail: `entry ${sequence} does not follow what is entry ${sequence - 1} now: one of them was changed`,
    });
  const first = ids.get(entry.id);
  if (first !== undefined)
    problems.push({ kind: 'changed', key, detail: `entry ${sequence} repeats the id of entry ${first}` });
  else ids.set(entry.id, sequence);
}
