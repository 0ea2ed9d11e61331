import type { ApprovalDocument } from '../../workflows/domain/approval';
import { SlipwayError } from '../../workflows/domain/errors';
import { PAYLOAD_TYPES } from '../../workflows/domain/envelope';
import type { ReleaseManifest, ReleaseRef } from '../../workflows/domain/release';
import type { AuditLog } from '../audit/port';
import type { ObjectStore } from '../object-store/port';
import { decisionDigest } from '../signing/dsse';
import type { Trust } from '../signing/port';
import { projectOf } from '../signing/project';
import { listApprovals, readApproval, type StoredApproval } from './approvals';

export interface CountedApprovals {
  readonly people: ReadonlySet<string>;
  readonly rejectedBy: string | null;
  readonly refused: readonly { readonly key: string; readonly error: SlipwayError }[];
}

interface Ports {
  readonly store: ObjectStore;
  readonly trust: Trust;
  readonly audit: Pick<AuditLog, 'find'>;
}

/** Distinct people whose approvals of this release count (I2, I3); `now` null leaves out expiry and leavers since the recording. */
export async function countApprovals(
  ports: Ports,
  ref: ReleaseRef,
  manifest: ReleaseManifest,
  now: Date | null,
): Promise<CountedApprovals> {
  const people = new Set<string>();
  const refused: { key: string; error: SlipwayError }[] = [];
  let rejectedBy: string | null = null;
  for (const { key, approval } of await listApprovals(ports.store, ref.model, ref.version)) {
    try {
      const { person, decision } = await verifyApproval(ports, ref, manifest, approval, now);
      if (decision === 'reject') rejectedBy = person;
      else people.add(person);
    } catch (error) {
      // One bad file must not hide good ones; it counts for nothing and is named if the quorum is missed.
      if (!(error instanceof SlipwayError) || error.kind.retryable) throw error;
      refused.push({ key, error });
    }
  }
  return { people, rejectedBy, refused };
}

async function verifyApproval(
  ports: Ports,
  ref: ReleaseRef,
  manifest: ReleaseManifest,
  stored: StoredApproval | null,
  now: Date | null,
): Promise<{ person: string; decision: ApprovalDocument['decision'] }> {
  if (!stored) throw mismatch('a file that is no approval');
  const digest = decisionDigest(stored.envelope);
  const entry = await ports.audit.find(ref.model, stored.audit);
  if (entry?.kind !== 'approval.recorded' || entry.data['approval'] !== digest)
    throw mismatch('an approval that the audit log does not hold');
  const requirement = { payloadType: PAYLOAD_TYPES.approval, role: 'approver', project: projectOf(ref.model) } as const;
  const recordedAt = new Date(entry.at);
  const verified = ports.trust.verify(stored.envelope, { ...requirement, at: recordedAt });
  const document = readApproval(verified.document);
  if (!document) throw mismatch('a document that is no approval');
  checkScope(document, ref, manifest);
  checkExpiry(document, recordedAt);
  if (now && document.decision === 'approve') {
    // A rejection stands whatever became of its key since.
    ports.trust.verify(stored.envelope, { ...requirement, at: now });
    checkExpiry(document, now);
  }
  if (verified.person === manifest.lineage.startedBy)
    throw new SlipwayError('APPROVAL_SELF', `${verified.person} started the run`);
  return { person: verified.person, decision: document.decision };
}

function checkScope(document: ApprovalDocument, ref: ReleaseRef, manifest: ReleaseManifest): void {
  const { release, evidence } = document;
  if (release.model !== ref.model || release.version !== ref.version || release.digest !== ref.digest)
    throw mismatch('an approval of another release');
  if (evidence !== manifest.evidence) throw mismatch('an approval on other evidence');
}

function checkExpiry(document: ApprovalDocument, at: Date): void {
  if (at.getTime() >= Date.parse(document.expiresAt))
    throw mismatch(`an approval that expired on ${document.expiresAt}`);
}

function mismatch(what: string): SlipwayError {
  return new SlipwayError('APPROVAL_MISMATCH', what);
}
