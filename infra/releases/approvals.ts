import { z } from 'zod';
import type { ApprovalDocument } from '../../workflows/domain/approval';
import type { AuditRef } from '../../workflows/domain/audit';
import { isDigest, type Digest } from '../../workflows/domain/digest';
import type { Envelope } from '../../workflows/domain/envelope';
import { keys } from '../../workflows/domain/keys';
import type { ModelName } from '../../workflows/domain/names';
import type { ReleaseRef } from '../../workflows/domain/release';
import { auditRefSchema } from '../audit/chain';
import { listAll } from '../object-store/list-all';
import { canonicalBytes } from '../object-store/digest';
import type { ObjectStore } from '../object-store/port';
import { decisionDigest } from '../signing/dsse';

/** An approval or rejection as it is kept beside its release: what the person signed, and where that was recorded. */
export interface StoredApproval {
  readonly schema: 'slipway.stored-approval/1';
  readonly envelope: Envelope;
  readonly audit: AuditRef;
}

const storedSchema = z.strictObject({
  schema: z.literal('slipway.stored-approval/1'),
  envelope: z.custom<Envelope>((value) => typeof value === 'object' && value !== null),
  audit: auditRefSchema,
});

const digest = z.custom<Digest>(isDigest);
const approvalSchema = z.strictObject({
  schema: z.literal('slipway.approval/1'),
  decision: z.enum(['approve', 'reject']),
  workspace: z.string(),
  release: z.strictObject({ model: z.string(), version: z.number().int().min(1), digest }),
  evidence: digest,
  comment: z.string().max(4_000),
  at: z.iso.datetime({ offset: true }),
  expiresAt: z.iso.datetime({ offset: true }),
});

/** The document of a verified envelope, when it is an approval at all. */
export function readApproval(document: unknown): ApprovalDocument | null {
  const parsed = approvalSchema.safeParse(document);
  return parsed.success ? parsed.data : null;
}

/** Where there is one already it is this one: the key is its digest, and its audit entry has one place. */
export async function storeApproval(
  store: ObjectStore,
  release: ReleaseRef,
  approval: Omit<StoredApproval, 'schema'>,
): Promise<void> {
  const stored: StoredApproval = { schema: 'slipway.stored-approval/1', ...approval };
  await store.create(
    keys.approval(release.model, release.version, decisionDigest(approval.envelope)),
    canonicalBytes(stored),
  );
}

/** What is stored under a release; `approval` is null where the bytes are no approval. */
export async function listApprovals(
  store: ObjectStore,
  model: ModelName,
  version: number,
): Promise<{ readonly key: string; readonly approval: StoredApproval | null }[]> {
  const found: { key: string; approval: StoredApproval | null }[] = [];
  for await (const key of listAll(store, keys.approvals(model, version))) {
    const bytes = await store.get(key);
    if (bytes) found.push({ key, approval: parseStored(bytes) });
  }
  return found;
}

function parseStored(bytes: Uint8Array): StoredApproval | null {
  try {
    const parsed = storedSchema.safeParse(JSON.parse(Buffer.from(bytes).toString('utf8')));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
