import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AuditEntry } from '../../../workflows/domain/audit';
import { keys } from '../../../workflows/domain/keys';
import { createAuditLog } from '../../../infra/audit/log';
import type { AuditLog, AuditRecord } from '../../../infra/audit/port';
import { verifyAudit } from '../../../infra/audit/verify';
import { createFsStore } from '../../../infra/object-store/fs-store';
import type { ObjectStore } from '../../../infra/object-store/port';
import { createSigner } from '../../../infra/signing/keys';
import { createTrust } from '../../../infra/signing/trust';
import { createMemoryStore } from '../../support/memory-store';
import { testKeys, testPolicy } from '../../support/workspace';

const MODEL = 'p/m';
const trust = createTrust(testPolicy());
const signer = createSigner(testKeys.control);

function record(id: string): AuditRecord {
  return { id, kind: 'command.accepted', actor: 'person:ana', summary: id, data: { id }, evidence: [] };
}

function open(store: ObjectStore): AuditLog {
  return createAuditLog(store, { workspace: 'dev', signer, clock: () => new Date('2001-03-01T00:00:00.000Z') });
}

async function read(log: AuditLog): Promise<AuditEntry[]> {
  const entries: AuditEntry[] = [];
  for await (const entry of log.entries(MODEL)) entries.push(entry);
  return entries;
}

describe.each(['memory', 'fs'])('the audit log on a %s store', (kind) => {
  let folder: string;
  let store: ObjectStore;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'slipway-audit-'));
    store = kind === 'fs' ? createFsStore(folder) : createMemoryStore();
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('chains entries and finds each by reference and by id', async () => {
    const log = open(store);
    const first = await log.append(MODEL, record('a'));
    const second = await log.append(MODEL, record('b'));
    expect([first.sequence, second.sequence]).toEqual([1, 2]);
    expect(await log.find(MODEL, second)).toMatchObject({ id: 'b', previous: first.digest, sequence: 2 });
    expect(await log.find(MODEL, { ...second, digest: first.digest })).toBeNull();
    expect(await log.find(MODEL, { ...second, sequence: 9 })).toBeNull();
    expect(await log.lookup(MODEL, 'a')).toMatchObject({ ref: first, entry: { id: 'a' } });
    expect(await log.lookup(MODEL, 'z')).toBeNull();
    expect(await log.head(MODEL)).toEqual(second);
    expect(await log.head('p/other')).toBeNull();
  });

  it('returns the first entry for an id that is appended again, by this process or another', async () => {
    const first = await open(store).append(MODEL, record('a'));
    const log = open(store);
    await log.append(MODEL, record('b'));
    expect(await log.append(MODEL, { ...record('a'), summary: 'said otherwise' })).toEqual(first);
    expect((await read(log)).map((entry) => entry.summary)).toEqual(['a', 'b']);
  });

  it('keeps every entry once when several writers race', async () => {
    const logs = Array.from({ length: 4 }, () => open(store));
    const ids = Array.from({ length: 12 }, (_, index) => `id-${index}`);
    const refs = await Promise.all(logs.flatMap((log) => ids.map((id) => log.append(MODEL, record(id)))));
    for (const [index, ref] of refs.entries()) expect(ref).toEqual(refs[index % ids.length]);
    const verification = await verifyAudit(store, trust, MODEL);
    expect(verification).toMatchObject({ entries: 12, problems: [] });
  });

  it('signs its head every 16 entries and on request', async () => {
    const log = open(store);
    for (let index = 0; index < 20; index += 1) await log.append(MODEL, record(`id-${index}`));
    expect((await verifyAudit(store, trust, MODEL)).signedUpTo).toBe(16);
    expect(await log.checkpoint(MODEL)).toEqual(await log.head(MODEL));
    expect(await verifyAudit(store, trust, MODEL)).toMatchObject({ signedUpTo: 20, problems: [] });
    expect(await log.checkpoint('p/empty')).toBeNull();
  });
});

describe('the audit log on a store that misbehaves', () => {
  it('has one entry after a lost reply and a retry, also from another process', async () => {
    const store = createMemoryStore();
    store.fault = (operation) => (operation === 'create' ? 'lost-reply' : 'none');
    const log = open(store);
    await expect(log.append(MODEL, record('a'))).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    store.fault = () => 'none';
    const again = await log.append(MODEL, record('a'));
    expect(await open(store).append(MODEL, record('a'))).toEqual(again);
    expect((await read(log)).map((entry) => entry.id)).toEqual(['a']);
  });

  it('goes on after any single fault at any operation, with every entry once', async () => {
    for (const fault of ['unavailable', 'lost-reply'] as const)
      for (let failing = 0; failing < 40; failing += 1) {
        const store = createMemoryStore();
        let operations = 0;
        store.fault = () => (operations++ === failing ? fault : 'none');
        let log = open(store);
        for (const id of ['a', 'b', 'c', 'd'])
          await log.append(MODEL, record(id)).catch(async () => {
            // The next attempt may run in the same process or in a new one.
            if (failing % 2) log = open(store);
            return log.append(MODEL, record(id));
          });
        expect((await read(log)).map((entry) => entry.id)).toEqual(['a', 'b', 'c', 'd']);
      }
  });

  it('reads forward from what it knows: an append at the head of a long chain costs three operations', async () => {
    const store = createMemoryStore();
    const log = open(store);
    for (let index = 0; index < 100; index += 1) await log.append(MODEL, record(`id-${index}`));
    const before = { ...store.counts };
    await log.append(MODEL, record('last'));
    expect(store.counts.get - before.get).toBe(1);
    expect(store.counts.create - before.create).toBe(1);
    expect(store.counts.list - before.list).toBe(0);
  });

  it('I7 does not write onto a chain with a gap or a lost end', async () => {
    const store = createMemoryStore();
    const log = open(store);
    for (let index = 0; index < 16; index += 1) await log.append(MODEL, record(`id-${index}`));
    const last = store.objects.get(keys.auditEntry(MODEL, 16))!;
    store.objects.delete(keys.auditEntry(MODEL, 16));
    await expect(open(store).append(MODEL, record('new'))).rejects.toMatchObject({ code: 'AUDIT_BROKEN' });
    store.objects.set(keys.auditEntry(MODEL, 16), last);
    store.objects.delete(keys.auditEntry(MODEL, 5));
    await expect(open(store).append(MODEL, record('new'))).rejects.toThrow('entry 5 is missing');
  });
});

describe('the audit log between processes', () => {
  it('keeps one chain, each id once, when three processes append at the same time', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'slipway-audit-'));
    try {
      const entry = join(__dirname, '../../support/append-entries.ts');
      const exits = ['w1', 'w2', 'w3'].map(async (writer) => {
        const child = spawn(process.execPath, ['--require', require.resolve('tsx/cjs'), entry, folder, writer, '8'], {
          stdio: ['ignore', 'inherit', 'inherit'],
        });
        const [code] = (await once(child, 'exit')) as [number];
        return code;
      });
      expect(await Promise.all(exits)).toEqual([0, 0, 0]);
      const store = createFsStore(folder);
      expect(await verifyAudit(store, trust, MODEL)).toMatchObject({ entries: 3 * 8 + 8, problems: [] });
      const ids = (await read(open(store))).map(({ id }) => id);
      expect(new Set(ids).size).toBe(32);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
