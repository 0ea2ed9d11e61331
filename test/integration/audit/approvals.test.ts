import { keys } from '../../../workflows/domain/keys';
import { verifyAudit, type AuditProblem } from '../../../infra/audit/verify';
import { storeApproval } from '../../../infra/releases/approvals';
import { decisionDigest } from '../../../infra/signing/dsse';
import { generateKey } from '../../../infra/signing/keys';
import type { ReleaseRef } from '../../../workflows/domain/release';
import { createMemoryStore, type MemoryStore } from '../../support/memory-store';
import { MODEL, publishRelease } from '../../support/release-fixture';
import { signApproval, testWorkspace, type TestWorkspace } from '../../support/workspace';

interface Scene extends TestWorkspace {
  readonly memory: MemoryStore;
  readonly release: ReleaseRef;
  readonly problems: () => Promise<readonly AuditProblem[]>;
}

/** A release approved by two. */
async function scene(): Promise<Scene> {
  const memory = createMemoryStore();
  const workspace = testWorkspace({ store: memory });
  const { ref } = await publishRelease(workspace);
  const problems = async (): Promise<readonly AuditProblem[]> =>
    (await verifyAudit(workspace.store, workspace.trust, MODEL)).problems;
  expect(await problems()).toEqual([]);
  return { ...workspace, memory, release: ref, problems };
}

/** What somebody who can write to the store, and has no key of the workspace, can append. */
async function forge({ audit, store, release }: Scene, withFile: boolean): Promise<void> {
  const forger = generateKey('forger', 'person:ana');
  const envelope = signApproval(forger, {
    release,
    evidence: release.digest,
    at: '2026-01-01T00:00:00.000Z',
    expiresAt: '2099-01-01T00:00:00.000Z',
  });
  const approval = decisionDigest(envelope);
  const ref = await audit.append(MODEL, {
    id: `approval/${release.version}/forged`,
    kind: 'approval.recorded',
    actor: 'person:zoe',
    summary: 'approved',
    data: { release, decision: 'approve', approval },
    evidence: [],
  });
  if (withFile) await storeApproval(store, release, { envelope, audit: ref });
}

describe('audit verify holds approvals', () => {
  it('to the documents that people signed: one that is gone is missed', async () => {
    const { memory, problems, release } = await scene();
    const [file] = await memory.list(keys.approvals(MODEL, release.version));
    memory.objects.delete(file!);
    expect((await problems()).map(({ kind, detail }) => [kind, detail])).toEqual([
      ['effect', expect.stringContaining('the approval that it records is not there')],
    ]);
  });

  it('to a key that the workspace trusts', async () => {
    const made = await scene();
    await forge(made, true);
    expect((await made.problems()).map(({ kind, detail }) => [kind, detail])).toEqual([
      ['effect', expect.stringContaining('does not trust key')],
    ]);
  });

  it('to a document at all: an entry alone proves nobody', async () => {
    const made = await scene();
    await forge(made, false);
    expect((await made.problems()).map(({ kind }) => kind)).toEqual(['effect']);
  });
});
