import type { ApprovalDocument } from '../../workflows/domain/approval';
import { PAYLOAD_TYPES } from '../../workflows/domain/envelope';
import { SlipwayError } from '../../workflows/domain/errors';
import type {
  ApprovalReceipt,
  LifecycleControlActivities,
  RecordApprovalInput,
} from '../../workflows/lifecycle.activities';
import { auditIds } from '../../infra/audit/ids';
import type { AuditLog } from '../../infra/audit/port';
import { asRefusal, claimedActor, digestOfAnything } from '../../infra/audit/refusals';
import type { ObjectStore } from '../../infra/object-store/port';
import { readApproval, storeApproval } from '../../infra/releases/approvals';
import { subjectOf } from '../../infra/releases/manifest';
import { decisionDigest } from '../../infra/signing/dsse';
import type { Trust, Verified } from '../../infra/signing/port';
import { projectOf } from '../../infra/signing/project';
import { peopleBehind } from './people';

export interface ApprovalPorts {
  readonly store: ObjectStore;
  readonly trust: Trust;
  readonly audit: AuditLog;
  readonly clock?: () => Date;
}

export type ApprovalActivities = Pick<LifecycleControlActivities, 'recordApproval' | 'recordApprovalExpiry'>;

/** Human decisions (I3): each that counts is in the audit log before it counts, each that does not is there with the reason. */
export function createApprovalActivities(ports: ApprovalPorts): ApprovalActivities {
  return {
    recordApproval: (input) => recordApproval(ports, input),
    recordApprovalExpiry: async ({ request, release, missing }) => {
      await ports.audit.append(request.model, {
        id: auditIds.approvalExpired(release.version, request.run),
        kind: 'approval.expired',
        actor: 'process:control',
        summary: `the wait for approval of ${subjectOf(release)} ended with ${missing} missing`,
        data: { release, run: request.run, missing },
        evidence: [],
      });
    },
  };
}

async function recordApproval(ports: ApprovalPorts, input: RecordApprovalInput): Promise<ApprovalReceipt> {
  const { release, envelope, request } = input;
  let actor = claimedActor(envelope);
  try {
    const verified = verifyApproval(ports, input);
    actor = verified.person;
    await checkCounts(ports, input, verified);
    return await record(ports, input, verified);
  } catch (error) {
    const refusal = asRefusal(error);
    await ports.audit.append(request.model, {
      id: auditIds.refusal(`approval/${release.version}`, digestOfAnything(envelope), refusal.code),
      kind: 'approval.refused',
      actor,
      summary: `approval of ${subjectOf(release)} refused: ${refusal.message}`,
      data: { release, run: request.run, code: refusal.code },
      evidence: [],
    });
    return { accepted: false, code: refusal.code, detail: refusal.message };
  }
}

function verifyApproval(
  { trust, clock }: ApprovalPorts,
  { request, envelope }: RecordApprovalInput,
): Verified<ApprovalDocument> {
  const at = clock?.() ?? new Date();
  const verified = trust.verify(envelope, {
    payloadType: PAYLOAD_TYPES.approval,
    role: 'approver',
    project: projectOf(request.model),
    at,
  });
  const document = readApproval(verified.document);
  if (!document) throw new SlipwayError('SIGNATURE_INVALID', 'the signed document is no approval');
  if (at.getTime() >= Date.parse(document.expiresAt))
    throw new SlipwayError('COMMAND_EXPIRED', `the approval expired on ${document.expiresAt}`);
  return { ...verified, document };
}

async function checkCounts(
  ports: ApprovalPorts,
  input: RecordApprovalInput,
  { person, document }: Verified<ApprovalDocument>,
): Promise<void> {
  const { release, evidence, request, startedBy } = input;
  const named = document.release;
  if (named.model !== release.model || named.version !== release.version || named.digest !== release.digest)
    throw new SlipwayError(
      'APPROVAL_MISMATCH',
      `it names release ${subjectOf(named)} (${named.digest}), not ${subjectOf(release)} (${release.digest})`,
    );
  if (document.evidence !== evidence)
    throw new SlipwayError('APPROVAL_MISMATCH', `it names evidence ${document.evidence}, not ${evidence}`);
  if (input.recorded.some((earlier) => earlier.person === person))
    throw new SlipwayError('APPROVAL_DUPLICATE', `${person} has decided on ${subjectOf(release)} already`);
  if (!input.open) throw new SlipwayError('APPROVAL_LATE', `run ${request.run} waits no longer for approval`);
  if ((await peopleBehind(ports, request, startedBy)).has(person))
    throw new SlipwayError('APPROVAL_SELF', `${person} started or trained run ${request.run}`);
}

/** The entry's id is the approval's digest: a retry, or a run that was started anew, finds it and gets the same receipt. */
async function record(
  ports: ApprovalPorts,
  input: RecordApprovalInput,
  verified: Verified<ApprovalDocument>,
): Promise<ApprovalReceipt> {
  const { release, evidence, envelope, request } = input;
  const { person, keyId, document } = verified;
  const { decision, comment } = document;
  const approval = decisionDigest(envelope);
  const id = auditIds.approval(release.version, approval);
  const audit = await ports.audit.append(request.model, {
    id,
    kind: 'approval.recorded',
    actor: person,
    summary: `${subjectOf(release)} ${decision === 'approve' ? 'approved' : 'rejected'} by ${person}`,
    data: { release, run: request.run, decision, comment, keyId, approval },
    evidence: [evidence],
  });
  const recorded = await ports.audit.lookup(request.model, id);
  if (!recorded)
    throw new SlipwayError('AUDIT_BROKEN', `the approval of ${subjectOf(release)} was recorded and is gone`);
  await storeApproval(ports.store, release, { envelope, audit });
  return { accepted: true, approval: { person, decision, at: recorded.entry.at } };
}
