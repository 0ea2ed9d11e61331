import { createAdmissionActivities } from '../../../activities/admission/admission';
import { createApprovalActivities } from '../../../activities/approval/approval';
import type { ApprovalDocument } from '../../../workflows/domain/approval';
import type { Envelope } from '../../../workflows/domain/envelope';
import type { AuditEntry } from '../../../workflows/domain/audit';
import { keys } from '../../../workflows/domain/keys';
import { digestOf, digestOfJson } from '../../../infra/object-store/digest';
import { createMemoryStore, type MemoryStore } from '../../support/memory-store';
import { approve, MODEL, publishRelease, runId, type PublishedRelease } from '../../support/release-fixture';
import {
  signApproval,
  signCommand,
  testKeys,
  testPolicy,
  testWorkspace,
  type TestWorkspace,
} from '../../support/workspace';

interface Scene extends TestWorkspace {
  readonly memory: MemoryStore;
  readonly published: PublishedRelease;
}

async function scene(): Promise<Scene> {
  const memory = createMemoryStore();
  const workspace = testWorkspace({ store: memory });
  return { ...workspace, memory, published: await publishRelease(workspace, { approvers: [] }) };
}

async function refusals({ audit }: TestWorkspace): Promise<AuditEntry[]> {
  const found: AuditEntry[] = [];
  for await (const entry of audit.entries(MODEL)) if (entry.kind === 'approval.refused') found.push(entry);
  return found;
}

/** The code of the refusal, which must be in the audit log too, with nothing stored. */
async function refused(made: Scene, envelope: Envelope, changes: Parameters<typeof approve>[3] = {}): Promise<string> {
  const receipt = await approve(made, made.published, testKeys.ana, { envelope, ...changes });
  if (receipt.accepted) return 'accepted';
  const entries = await refusals(made);
  expect(entries.at(-1)?.data['code']).toBe(receipt.code);
  expect([...made.memory.objects.keys()].filter((key) => key.startsWith(keys.approvals(MODEL, 1)))).toEqual([]);
  return receipt.code;
}

const signed = ({ published }: Scene, key = testKeys.ana, changes: Partial<ApprovalDocument> = {}): Envelope =>
  signApproval(key, { release: published.ref, evidence: published.evidence, ...changes });

describe('I3 an approval counts', () => {
  it('for its release and evidence, in the log before it is kept', async () => {
    const made = await scene();
    const receipt = await approve(made, made.published, testKeys.ana);
    expect(receipt).toEqual({
      accepted: true,
      approval: { person: 'person:ana', decision: 'approve', at: '2001-03-01T00:00:00.000Z' },
    });
    const head = await made.audit.find(MODEL, (await made.audit.head(MODEL))!);
    expect(head).toMatchObject({
      kind: 'approval.recorded',
      actor: 'person:ana',
      evidence: [made.published.evidence],
      data: { decision: 'approve', comment: 'looks right' },
    });
  });

  it('once, with the same receipt, when the activity is retried after any lost reply', async () => {
    const { memory: origin, published } = await scene();
    for (const fault of ['unavailable', 'lost-reply'] as const)
      for (let failing = 0; ; failing += 1) {
        const memory = createMemoryStore(new Map(origin.objects));
        let operations = 0;
        memory.fault = () => (operations++ === failing ? fault : 'none');
        const record = () => approve(testWorkspace({ store: memory }), published, testKeys.ben);
        expect((await record().catch(record)).accepted).toBe(true);
        memory.fault = () => 'none';
        expect([...memory.objects.keys()].filter((key) => key.startsWith(keys.approvals(MODEL, 1)))).toHaveLength(1);
        if (operations <= failing) break;
      }
  });

  it('not when a key that nobody knows signed it', async () => {
    const made = await scene();
    expect(await refused(made, signed(made, testKeys.foreign))).toBe('KEY_UNKNOWN');
    expect((await refusals(made))[0]?.actor).toBe(`key:${testKeys.foreign.keyId}`);
  });

  it('not for another release, another digest or other evidence', async () => {
    const made = await scene();
    const other = digestOf(Buffer.from('other'));
    expect(await refused(made, signed(made, testKeys.ana, { release: { ...made.published.ref, digest: other } }))).toBe(
      'APPROVAL_MISMATCH',
    );
    expect(await refused(made, signed(made, testKeys.ana, { release: { ...made.published.ref, version: 2 } }))).toBe(
      'APPROVAL_MISMATCH',
    );
    expect(await refused(made, signed(made, testKeys.ana, { evidence: other }))).toBe('APPROVAL_MISMATCH');
  });

  it('not in another workspace', async () => {
    const made = await scene();
    expect(await refused(made, signed(made, testKeys.ana, { workspace: 'prod' }))).toBe('WORKSPACE_MISMATCH');
  });

  it('not twice for one person, with the same approval, another key or another decision', async () => {
    const made = await scene();
    const recorded = [{ person: 'person:ana', decision: 'approve' as const, at: '2001-03-01T00:00:00.000Z' }];
    expect(await refused(made, signed(made), { recorded })).toBe('APPROVAL_DUPLICATE');
    expect(await refused(made, signed(made, testKeys.anaSecond), { recorded })).toBe('APPROVAL_DUPLICATE');
    expect(await refused(made, signed(made, testKeys.ana, { decision: 'reject' }), { recorded })).toBe(
      'APPROVAL_DUPLICATE',
    );
  });

  it('not when the run waits no longer, or when it expired on the way', async () => {
    const made = await scene();
    expect(await refused(made, signed(made), { open: false })).toBe('APPROVAL_LATE');
    expect(await refused(made, signed(made, testKeys.ana, { expiresAt: '2001-02-28T00:00:00.000Z' }))).toBe(
      'COMMAND_EXPIRED',
    );
  });

  it('not from who started the run, even with the role', async () => {
    const made = await scene();
    expect(await refused(made, signed(made, testKeys.developer))).toBe('APPROVAL_SELF');
  });

  it('not from who started the attempt whose training was taken over', async () => {
    const made = await scene();
    const { request } = made.published;
    const policy = testPolicy(
      {},
      {
        ana: {
          roles: [
            { role: 'approver', project: '*' },
            { role: 'trainer', project: '*' },
          ],
        },
      },
    );
    const workspace = {
      ...testWorkspace({ store: made.memory, policy }),
      memory: made.memory,
      published: made.published,
    };
    const command = signCommand(testKeys.ana, {
      action: 'run',
      target: MODEL,
      args: { run: request.run, request: digestOfJson(request) },
    });
    await createAdmissionActivities(workspace).admitRun({ request, command });
    const retry = { ...request, run: runId(1, 2), attempt: 2, from: { run: request.run, step: 'evaluate' as const } };
    expect(await refused(workspace, signed(made), { request: retry })).toBe('APPROVAL_SELF');
    expect((await approve(workspace, made.published, testKeys.ben, { request: retry })).accepted).toBe(true);
  });

  it('not without the role, nor when it is no approval, nor with a byte changed', async () => {
    const made = await scene();
    expect(await refused(made, signed(made, testKeys.viewer))).toBe('ROLE_MISSING');
    expect(await refused(made, signed(made, testKeys.ana, { decision: 'maybe' as 'approve' }))).toBe(
      'SIGNATURE_INVALID',
    );
    const good = signed(made);
    expect(await refused(made, { ...good, payload: `A${good.payload.slice(1)}` })).toBe('SIGNATURE_INVALID');
    expect(await refused(made, null as unknown as Envelope)).toBe('SIGNATURE_INVALID');
  });

  it('as a rejection too, which is kept and ends the wait', async () => {
    const made = await scene();
    const receipt = await approve(made, made.published, testKeys.ana, {
      envelope: signed(made, testKeys.ana, { decision: 'reject' }),
    });
    expect(receipt).toMatchObject({ accepted: true, approval: { decision: 'reject' } });
    await approve(made, made.published, testKeys.ben);
    await expect(made.registry.verify(made.published.ref, 'serve')).rejects.toThrow('rejected by person:ana');
  });

  it('and an expired wait is in the log, once', async () => {
    const made = await scene();
    const { recordApprovalExpiry } = createApprovalActivities(made);
    for (let attempt = 0; attempt < 2; attempt += 1)
      await recordApprovalExpiry({ request: made.published.request, release: made.published.ref, missing: 2 });
    const head = (await made.audit.head(MODEL))!;
    expect(await made.audit.find(MODEL, head)).toMatchObject({ kind: 'approval.expired', data: { missing: 2 } });
    expect(head.sequence).toBe(3);
  });
});
