import { CancellationScope, condition } from '@temporalio/workflow';
import { judgeQuorum, type Quorum } from './domain/approval';
import type { Digest } from './domain/digest';
import { sayInstant } from './domain/instants';
import type { ReleaseRef } from './domain/release';
import { counted } from './domain/wording';
import type { LifecycleRun } from './lifecycle-run';
import type { Receipt } from './lifecycle.messages';
import type { Delivery } from './inbox';
import type { MessageKind } from './lifecycle-run';
import { reportFailure, rethrowDefects } from './failures';

export type ApprovalEnd =
  | { readonly state: 'approved' }
  | { readonly state: 'rejected'; readonly by: string }
  | { readonly state: 'expired'; readonly missing: number };

/**
 * Waits for the quorum until an absolute deadline: one timer, however many days. An approval that was being recorded when the
 * deadline passed still counts, because the audit log says that it was in time.
 */
export async function awaitApproval(run: LifecycleRun, release: ReleaseRef, evidence: Digest): Promise<ApprovalEnd> {
  const { approvalsRequired, approvalsWithinMs } = run.plan!;
  const deadlineMs = Date.now() + approvalsWithinMs;
  run.candidate = { release, evidence, open: true, deadline: new Date(deadlineMs).toISOString() };
  const decided = (): boolean => judge(run).state !== 'waiting';
  if (!decided()) {
    const summary = `Wait for ${counted(approvalsRequired, 'approval')} of release ${release.version}, until ${sayInstant(run.candidate.deadline)}`;
    await condition(decided, Math.max(1, deadlineMs - Date.now()), { summary });
    run.candidate = { ...run.candidate, open: false };
    await condition(() => !run.deciding);
  }
  run.candidate = { ...run.candidate, open: false };
  const quorum = judge(run);
  if (quorum.state !== 'waiting') return quorum;
  await run.control.recordApprovalExpiry(
    `Record that ${quorum.missing} of ${counted(approvalsRequired, 'approval')} did not come in time`,
    {
      request: run.request,
      release,
      missing: quorum.missing,
    },
  );
  return { state: 'expired', missing: quorum.missing };
}

function judge(run: LifecycleRun): Quorum {
  return judgeQuorum(run.approvals, run.plan!.approvalsRequired);
}

/** Verifies and records one approval or rejection, or says why it does not count. */
export async function decideApproval(run: LifecycleRun, delivery: Delivery<MessageKind>): Promise<Receipt> {
  const { candidate } = run;
  if (!candidate)
    return { accepted: false, code: 'APPROVAL_LATE', detail: 'the run ended before it had a release to approve' };
  try {
    const receipt = await CancellationScope.nonCancellable(() =>
      run.control.recordApproval(
        `Verify and record ${delivery.kind === 'reject' ? 'a rejection' : 'an approval'} that arrived by ${delivery.id === 'signal' ? 'signal' : 'update'}`,
        {
          request: run.request,
          release: candidate.release,
          evidence: candidate.evidence,
          envelope: delivery.envelope,
          startedBy: run.plan!.startedBy,
          recorded: run.approvals,
          open: candidate.open,
        },
      ),
    );
    if (!receipt.accepted) {
      run.story.tell(`An approval was refused: ${receipt.code}, ${receipt.detail}`);
      return receipt;
    }
    run.approvals.push(receipt.approval);
    const verb = receipt.approval.decision === 'approve' ? 'approved' : 'rejected';
    const quorum = judge(run);
    run.story.tell(`${receipt.approval.person} ${verb} release ${candidate.release.version}`);
    return { accepted: true, detail: quorum.state === 'waiting' ? `${verb}; ${quorum.missing} more needed` : verb };
  } catch (error) {
    rethrowDefects(error);
    return { accepted: false, ...reportFailure(error) };
  }
}
