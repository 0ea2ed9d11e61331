import { canonicalJson } from '../../../workflows/domain/digest';
import { keys } from '../../../workflows/domain/keys';
import type { AuditEntry } from '../../../workflows/domain/audit';
import { PAYLOAD_TYPES } from '../../../workflows/domain/envelope';
import { verifyAudit, type AuditProblemKind } from '../../../infra/audit/verify';
import { canonicalBytes, digestOf } from '../../../infra/object-store/digest';
import { createSigner } from '../../../infra/signing/keys';
import { createRoutingActivities } from '../../../activities/routing/routing';
import { createMemoryStore, type MemoryStore } from '../../support/memory-store';
import { MODEL, publishRelease } from '../../support/release-fixture';
import { testKeys, testWorkspace, type TestWorkspace } from '../../support/workspace';

interface Scene extends TestWorkspace {
  readonly memory: MemoryStore;
}

/** A release, approved by two, served by one route; 20 entries, so that one checkpoint signs 16 of them. */
async function scene(): Promise<Scene> {
  const memory = createMemoryStore();
  const workspace = testWorkspace({ store: memory });
  const { ref } = await publishRelease(workspace);
  await createRoutingActivities(workspace).commitRoute({
    ...{
      model: MODEL,
      onGeneration: 0,
      intent: 'first',
      reason: 'first release',
      actor: 'process:control',
      state: 'serving',
    },
    ...{
      arms: [{ name: 'champion', release: ref, weight: 1 }],
      shadows: [],
      paired: false,
      rollout: null,
      evidence: [],
    },
  });
  for (let index = 0; index < 15; index += 1)
    await workspace.audit.append(MODEL, {
      id: `filler/${index}`,
      kind: 'monitor.looked',
      actor: 'process:control',
      summary: 'looked',
      data: {},
      evidence: [],
    });
  return { ...workspace, memory };
}

async function kindsAfter(
  change: (scene: Scene) => void | Promise<void>,
  heads: Parameters<typeof verifyAudit>[3] = {},
): Promise<AuditProblemKind[]> {
  const made = await scene();
  expect(await verifyAudit(made.store, made.trust, MODEL)).toMatchObject({
    entries: 20,
    signedUpTo: 16,
    effects: 4,
    problems: [],
  });
  await change(made);
  const { problems } = await verifyAudit(made.store, made.trust, MODEL, heads);
  return [...new Set(problems.map(({ kind }) => kind))].sort();
}

const entryKey = (sequence: number): string => keys.auditEntry(MODEL, sequence);

function edit<T>(memory: MemoryStore, key: string, change: (value: T) => T): void {
  memory.objects.set(key, canonicalBytes(change(JSON.parse(Buffer.from(memory.objects.get(key)!).toString()) as T)));
}

/** What somebody with the store's credentials, but no key, can do at most: rewrite the end of the chain so that it links up again. */
function relink(memory: MemoryStore, from: number, change: (entry: AuditEntry) => AuditEntry): void {
  for (let sequence = from; memory.objects.has(entryKey(sequence)); sequence += 1)
    edit<AuditEntry>(memory, entryKey(sequence), (entry) => {
      const before = memory.objects.get(entryKey(sequence - 1));
      const linked = { ...entry, previous: before ? digestOf(before) : null };
      return sequence === from ? change(linked) : linked;
    });
}

describe('I7 verification of the audit log', () => {
  it('finds an entry that was taken out', async () => {
    expect(await kindsAfter(({ memory }) => void memory.objects.delete(entryKey(7)))).toEqual(['missing']);
  });

  it('finds an entry that was changed', async () => {
    expect(
      await kindsAfter(({ memory }) =>
        edit<AuditEntry>(memory, entryKey(7), (entry) => ({ ...entry, actor: 'person:eve' })),
      ),
    ).toEqual(['changed']);
  });

  it('finds bytes that are no entry', async () => {
    expect(await kindsAfter(({ memory }) => void memory.objects.set(entryKey(7), Buffer.from('{"torn')))).toEqual([
      'changed',
    ]);
  });

  it('finds entries that were reordered', async () => {
    expect(
      await kindsAfter(({ memory }) => {
        const [a, b] = [memory.objects.get(entryKey(7))!, memory.objects.get(entryKey(8))!];
        memory.objects.set(entryKey(7), b).set(entryKey(8), a);
      }),
    ).toContain('misplaced');
  });

  it('finds a chain whose end was cut off behind its checkpoint', async () => {
    expect(
      await kindsAfter(({ memory }) =>
        [15, 16, 17, 18, 19, 20].forEach((sequence) => memory.objects.delete(entryKey(sequence))),
      ),
    ).toEqual(['truncated']);
  });

  it('finds a chain that was rewritten to link up again, by the checkpoint', async () => {
    expect(
      await kindsAfter(({ memory }) => relink(memory, 10, (entry) => ({ ...entry, actor: 'person:eve' }))),
    ).toEqual(['changed']);
  });

  it('finds a chain that was rewritten together with its checkpoint, by the effects', async () => {
    const kinds = await kindsAfter(({ memory }) => {
      memory.objects.delete(keys.auditCheckpoint(MODEL, 16));
      relink(memory, 2, (entry) => ({ ...entry, summary: 'nothing happened' }));
    });
    expect(kinds).toEqual(['effect']);
  });

  it('finds a checkpoint that the control key did not sign, or that was moved', async () => {
    const forged = createSigner(testKeys.foreign);
    expect(
      await kindsAfter(({ memory }) => {
        const checkpoint = {
          schema: 'slipway.audit-checkpoint/1',
          workspace: 'dev',
          model: MODEL,
          sequence: 18,
          digest: `sha256:${'0'.repeat(64)}`,
          at: '2001-03-01T00:00:00.000Z',
        };
        memory.objects.set(
          keys.auditCheckpoint(MODEL, 18),
          canonicalBytes(forged.sign(PAYLOAD_TYPES.auditCheckpoint, checkpoint)),
        );
      }),
    ).toEqual(['checkpoint']);
    expect(
      await kindsAfter(
        ({ memory }) =>
          void memory.objects.set(
            keys.auditCheckpoint(MODEL, 17),
            memory.objects.get(keys.auditCheckpoint(MODEL, 16))!,
          ),
      ),
    ).toEqual(['checkpoint']);
  });

  it('finds a cut behind the last checkpoint by a head that a gateway or the caller kept', async () => {
    const cut = ({ memory }: Scene): void => void memory.objects.delete(entryKey(20));
    expect(await kindsAfter(cut)).toEqual([]);
    const head = { sequence: 20, digest: digestOf(Buffer.from('any')) };
    expect(await kindsAfter(cut, { heads: [head] })).toEqual(['truncated']);
    expect(await kindsAfter(() => undefined, { heads: [head] })).toEqual(['changed']);
    const withGateway = async (made: Scene): Promise<void> => {
      const kept = await made.audit.head(MODEL);
      made.memory.objects.set(keys.gateway('gateway-1'), Buffer.from(JSON.stringify({ audit: { [MODEL]: kept } })));
      cut(made);
    };
    expect(await kindsAfter(withGateway)).toEqual(['truncated']);
  });

  it.each([
    ['a route', () => keys.route(MODEL, 1)],
    ['a release', () => keys.releaseManifest(MODEL, 1)],
    ['a release signature', () => keys.releaseBundle(MODEL, 1)],
  ])('finds %s that was changed', async (_, key) => {
    expect(
      await kindsAfter(({ memory }) =>
        edit<object>(memory, key(), (document) => ({ ...document, payload: 'e30=', dsseEnvelope: {}, run: 'other' })),
      ),
    ).toEqual(['effect']);
  });

  it('finds a route that the control key signed anew under the entry of another', async () => {
    const kinds = await kindsAfter(async ({ memory, reader, signer }) => {
      const { route } = (await reader.at(MODEL, 1))!;
      const forged = { ...route, salt: 'chosen' };
      memory.objects.set(keys.route(MODEL, 1), canonicalBytes(signer.sign(PAYLOAD_TYPES.route, forged)));
    });
    expect(kinds).toEqual(['effect']);
  });

  it('finds an approval that was put there without an entry', async () => {
    const kinds = await kindsAfter(({ memory }) => {
      const [key] = [...memory.objects.keys()].filter((name) => name.startsWith(keys.approvals(MODEL, 1)));
      const copy = JSON.parse(Buffer.from(memory.objects.get(key!)!).toString()) as { audit: { sequence: number } };
      memory.objects.set(
        `${keys.approvals(MODEL, 1)}ff.json`,
        canonicalBytes({ ...copy, audit: { ...copy.audit, sequence: 12 } }),
      );
    });
    expect(kinds).toEqual(['effect']);
  });

  it('finds a route that was taken out while a gateway serves it', async () => {
    const kinds = await kindsAfter(async ({ memory, reader }) => {
      const route = await reader.at(MODEL, 1);
      memory.objects.set(
        keys.gateway('gateway-1'),
        Buffer.from(JSON.stringify({ models: { [MODEL]: { generation: 1, route: route!.digest } } })),
      );
      memory.objects.delete(keys.route(MODEL, 1));
    });
    expect(kinds).toEqual(['effect']);
  });

  it('throws, and tells no problem, when the store does not answer', async () => {
    const made = await scene();
    made.memory.fault = (operation, key) => (operation === 'get' && key.includes('releases') ? 'unavailable' : 'none');
    await expect(verifyAudit(made.store, made.trust, MODEL)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  });

  it('is not misled by an entry that is canonical JSON of something else', async () => {
    expect(
      await kindsAfter(
        ({ memory }) =>
          void memory.objects.set(entryKey(20), Buffer.from(canonicalJson({ schema: 'slipway.audit/1' }))),
      ),
    ).toEqual(['changed']);
  });
});
