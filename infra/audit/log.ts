import type { AuditCheckpoint, AuditEntry, AuditRef } from '../../workflows/domain/audit';
import { PAYLOAD_TYPES } from '../../workflows/domain/envelope';
import { SlipwayError } from '../../workflows/domain/errors';
import { keys } from '../../workflows/domain/keys';
import type { ModelName } from '../../workflows/domain/names';
import { canonicalBytes, digestOf } from '../object-store/digest';
import type { ObjectStore } from '../object-store/port';
import type { Signer } from '../signing/port';
import { broken, FIRST_SEQUENCE, listCheckpoints, listSequences, readChain, readEntry } from './chain';
import type { AuditLog, AuditRecord, LoggedEntry } from './port';

export interface AuditLogOptions {
  readonly workspace: string;
  /** The control key. Null in processes that only read, or that leave checkpoints to the control worker. */
  readonly signer: Signer | null;
  readonly clock?: () => Date;
}

/** A signed head at least every so many entries: what a truncation that also rewrites nothing else can hide at most. */
export const CHECKPOINT_EVERY = 16;
/** Each lost race means that somebody else's entry went in, so this many in a row is no longer contention. */
const maxLostRaces = 200;

/** What this process knows of one model's chain; grows by reading forward. */
interface KnownChain {
  readonly ids: Map<string, AuditRef>;
  head: AuditRef | null;
  checkpointed: number;
}

/** The hash chain of design.md over conditional creates. Safe with any number of processes; no process needs to own a chain. */
export function createAuditLog(store: ObjectStore, options: AuditLogOptions): AuditLog {
  const chains = new Map<ModelName, Promise<KnownChain>>();
  const queues = new Map<ModelName, Promise<unknown>>();
  const clock = options.clock ?? (() => new Date());

  const known = async (model: ModelName): Promise<KnownChain> => {
    const opening = chains.get(model) ?? openChain(store, model);
    chains.set(model, opening);
    try {
      const chain = await opening;
      await catchUp(store, model, chain);
      return chain;
    } catch (error) {
      // What was known may be what is wrong: the next call reads from the beginning.
      chains.delete(model);
      throw error;
    }
  };

  /** One at a time within the process, so that its own callers never race each other. */
  const inTurn = <T>(model: ModelName, work: () => Promise<T>): Promise<T> => {
    const turn = (queues.get(model) ?? Promise.resolve()).then(work, work);
    queues.set(
      model,
      turn.catch(() => undefined),
    );
    return turn;
  };

  return {
    append: (model, record) =>
      inTurn(model, async () => {
        const chain = await known(model);
        const ref = await appendTo(store, options.workspace, model, chain, record, clock);
        if (options.signer && (chain.head?.sequence ?? 0) - chain.checkpointed >= CHECKPOINT_EVERY)
          await signHead(store, options.workspace, model, chain, options.signer, clock);
        return ref;
      }),
    lookup: (model, id) =>
      inTurn(model, async () => {
        const ref = (await known(model)).ids.get(id);
        return ref ? expectEntry(store, model, ref) : null;
      }),
    head: (model) => inTurn(model, async () => (await known(model)).head),
    checkpoint: (model) =>
      inTurn(model, async () => {
        const { signer } = options;
        if (!signer) throw new SlipwayError('KEY_UNKNOWN', 'this process has no key to sign audit checkpoints with');
        const chain = await known(model);
        return signHead(store, options.workspace, model, chain, signer, clock);
      }),
    find: (model, ref) => findEntry(store, model, ref),
    entries: (model) => readEntries(store, model),
  };
}

/** Reads nothing but the one entry, so that gateways can afford it. */
async function findEntry(store: ObjectStore, model: ModelName, ref: AuditRef): Promise<AuditEntry | null> {
  const logged = await readEntry(store, model, ref.sequence);
  return logged?.ref.digest === ref.digest ? logged.entry : null;
}

async function* readEntries(store: ObjectStore, model: ModelName): AsyncGenerator<AuditEntry> {
  for await (const { entry } of readChain(store, model, null)) yield entry;
}

/** At first sight the whole folder is listed: entries after a gap, or checkpoints beyond the end, are found before writing. */
async function openChain(store: ObjectStore, model: ModelName): Promise<KnownChain> {
  const [sequences, checkpoints] = await Promise.all([listSequences(store, model), listCheckpoints(store, model)]);
  const gap = sequences.findIndex((sequence, index) => sequence !== FIRST_SEQUENCE + index);
  if (gap !== -1) throw broken(model, FIRST_SEQUENCE + gap, 'is missing');
  const checkpointed = checkpoints.at(-1) ?? 0;
  const last = sequences.at(-1) ?? 0;
  const chain: KnownChain = { ids: new Map(), head: null, checkpointed };
  await catchUp(store, model, chain);
  // Entries may have been added between the two lists; what was read afterwards decides.
  if (checkpointed > Math.max(last, chain.head?.sequence ?? 0))
    throw broken(model, checkpointed, 'was signed by a checkpoint and is missing');
  return chain;
}

async function catchUp(store: ObjectStore, model: ModelName, chain: KnownChain): Promise<void> {
  for await (const { entry, ref } of readChain(store, model, chain.head)) {
    if (!chain.ids.has(entry.id)) chain.ids.set(entry.id, ref);
    chain.head = ref;
  }
}

/** A lost race and a lost reply look alike: both are settled by reading on and looking for the id. */
async function appendTo(
  store: ObjectStore,
  workspace: string,
  model: ModelName,
  chain: KnownChain,
  record: AuditRecord,
  clock: () => Date,
): Promise<AuditRef> {
  for (let lost = 0; lost < maxLostRaces; lost += 1) {
    const existing = chain.ids.get(record.id);
    if (existing) return existing;
    const sequence = (chain.head?.sequence ?? FIRST_SEQUENCE - 1) + 1;
    const bytes = canonicalBytes(newEntry(workspace, model, sequence, chain.head, record, clock()));
    if (await store.create(keys.auditEntry(model, sequence), bytes)) {
      const ref = { sequence, digest: digestOf(bytes) };
      chain.ids.set(record.id, ref);
      chain.head = ref;
      return ref;
    }
    await catchUp(store, model, chain);
  }
  throw new SlipwayError('STORE_CONFLICT', `audit of ${model}: lost ${maxLostRaces} races for the next entry`);
}

function newEntry(
  workspace: string,
  model: ModelName,
  sequence: number,
  head: AuditRef | null,
  record: AuditRecord,
  now: Date,
): AuditEntry {
  const { id, kind, actor, summary, data, evidence } = record;
  return {
    schema: 'slipway.audit/1',
    workspace,
    model,
    sequence,
    previous: head?.digest ?? null,
    id,
    at: now.toISOString(),
    kind,
    actor,
    summary,
    data,
    evidence,
  };
}

async function signHead(
  store: ObjectStore,
  workspace: string,
  model: ModelName,
  chain: KnownChain,
  signer: Signer,
  clock: () => Date,
): Promise<AuditRef | null> {
  const { head } = chain;
  if (!head) return null;
  const checkpoint: AuditCheckpoint = {
    schema: 'slipway.audit-checkpoint/1',
    workspace,
    model,
    ...head,
    at: clock().toISOString(),
  };
  // Lost means that another process signed the same head.
  await store.create(
    keys.auditCheckpoint(model, head.sequence),
    canonicalBytes(signer.sign(PAYLOAD_TYPES.auditCheckpoint, checkpoint)),
  );
  chain.checkpointed = Math.max(chain.checkpointed, head.sequence);
  return head;
}

async function expectEntry(store: ObjectStore, model: ModelName, ref: AuditRef): Promise<LoggedEntry> {
  const entry = await findEntry(store, model, ref);
  if (!entry) throw broken(model, ref.sequence, 'was read before and is missing or changed');
  return { entry, ref };
}
