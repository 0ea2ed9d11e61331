import { z } from 'zod';
import { AUDIT_KINDS, type AuditEntry, type AuditRef } from '../../workflows/domain/audit';
import { isDigest, type Digest } from '../../workflows/domain/digest';
import { SlipwayError } from '../../workflows/domain/errors';
import { keys } from '../../workflows/domain/keys';
import type { ModelName } from '../../workflows/domain/names';
import { digestOf } from '../object-store/digest';
import { listAll } from '../object-store/list-all';
import type { ObjectStore } from '../object-store/port';
import type { LoggedEntry } from './port';

/** Sequences start here; a chain's first entry follows nothing. */
export const FIRST_SEQUENCE = 1;
const readAhead = 16;

const digest = z.custom<Digest>(isDigest);
export const auditRefSchema = z.strictObject({ sequence: z.number().int().min(FIRST_SEQUENCE), digest });

const entrySchema = z.strictObject({
  schema: z.literal('slipway.audit/1'),
  workspace: z.string(),
  model: z.string(),
  sequence: z.number().int().min(FIRST_SEQUENCE),
  previous: digest.nullable(),
  id: z.string().min(1),
  at: z.iso.datetime(),
  kind: z.enum(AUDIT_KINDS),
  actor: z.string(),
  summary: z.string(),
  data: z.record(z.string(), z.unknown()),
  evidence: z.array(digest),
});

/** An entry of the store's bytes, with the digest that the next entry and effects name; null when it is none. */
export function parseEntry(bytes: Uint8Array): LoggedEntry | null {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return null;
  }
  const parsed = entrySchema.safeParse(value);
  if (!parsed.success) return null;
  const entry: AuditEntry = parsed.data;
  return { entry, ref: { sequence: entry.sequence, digest: digestOf(bytes) } };
}

/** One entry by its sequence; null where there is none. Throws AUDIT_BROKEN where the bytes are no entry of this place. */
export async function readEntry(store: ObjectStore, model: ModelName, sequence: number): Promise<LoggedEntry | null> {
  const bytes = await store.get(keys.auditEntry(model, sequence));
  if (!bytes) return null;
  const logged = parseEntry(bytes);
  if (!logged || logged.ref.sequence !== sequence || logged.entry.model !== model)
    throw broken(model, sequence, 'is not an entry of this place');
  return logged;
}

/** Entries after a sequence until the first that is missing, reading ahead. Each is checked to follow the one before. */
export async function* readChain(
  store: ObjectStore,
  model: ModelName,
  after: AuditRef | null,
): AsyncGenerator<LoggedEntry> {
  let last = after;
  for (;;) {
    const next = (last?.sequence ?? FIRST_SEQUENCE - 1) + 1;
    // Alone at first: at the head of a chain, which is where most readers are, there is nothing behind it.
    const count = next === FIRST_SEQUENCE || last !== after ? readAhead : 1;
    const batch = await Promise.all(
      Array.from({ length: count }, (_, offset) => readEntry(store, model, next + offset)),
    );
    for (const logged of batch) {
      if (!logged) return;
      if (logged.entry.previous !== (last?.digest ?? null))
        throw broken(model, logged.ref.sequence, 'does not follow the entry before it');
      yield logged;
      last = logged.ref;
    }
  }
}

/** Sequences of the entries that are in the store, ascending, gaps and all. */
export async function listSequences(store: ObjectStore, model: ModelName): Promise<number[]> {
  return listNumbered(store, keys.audit(model));
}

export async function listCheckpoints(store: ObjectStore, model: ModelName): Promise<number[]> {
  return listNumbered(store, keys.auditCheckpoints(model));
}

/** Numbers of the keys `<prefix><12 digits>.json`, ascending; deeper keys are skipped. */
export async function listNumbered(store: ObjectStore, prefix: string): Promise<number[]> {
  const numbers: number[] = [];
  for await (const key of listAll(store, prefix)) {
    const match = /^(\d{12})\.json$/.exec(key.slice(prefix.length));
    if (match) numbers.push(Number(match[1]));
  }
  return numbers;
}

export function broken(model: ModelName, sequence: number, what: string): SlipwayError {
  return new SlipwayError('AUDIT_BROKEN', `audit of ${model}: entry ${sequence} ${what}`);
}
