import type { AuditEntry, AuditKind, AuditRef } from '../../workflows/domain/audit';
import { isDigest, type Digest } from '../../workflows/domain/digest';
import { PAYLOAD_TYPES } from '../../workflows/domain/envelope';
import { SlipwayError } from '../../workflows/domain/errors';
import { keys } from '../../workflows/domain/keys';
import type { ModelName } from '../../workflows/domain/names';
import type { ObjectStore } from '../object-store/port';
import { listApprovals, readApproval, type StoredApproval } from '../releases/approvals';
import { listVersions, readManifest } from '../releases/manifest';
import { FIRST_GENERATION, openRoute } from '../routes/document';
import { decisionDigest } from '../signing/dsse';
import { verifyReleaseBundle } from '../signing/model-signing';
import type { Trust } from '../signing/port';
import { projectOf } from '../signing/project';
import { listNumbered } from './chain';
import { contentOfRelease, contentOfRoute } from './effects';
import type { AuditProblem, ReadChain } from './verify-chain';
import type { GatewayWitness } from './verify-heads';

interface Scope {
  readonly store: ObjectStore;
  readonly trust: Trust;
  readonly model: ModelName;
  readonly chain: ReadChain;
  readonly problems: AuditProblem[];
}

/** Every route, release and approval of a model against its entry and its signature. Returns how many there are. */
export async function verifyEffects(scope: Scope, witnesses: readonly GatewayWitness[]): Promise<number> {
  const routes = await verifyRoutes(scope, witnesses);
  const versions = await listVersions(scope.store, scope.model);
  let approvals = 0;
  for (const version of versions) {
    await tell(scope, keys.releaseManifest(scope.model, version), () => verifyRelease(scope, version));
    approvals += await verifyApprovals(scope, version);
  }
  await verifyRecordedApprovals(scope);
  return routes + versions.length + approvals;
}

async function verifyRoutes(scope: Scope, witnesses: readonly GatewayWitness[]): Promise<number> {
  const { store, model, problems } = scope;
  const generations = await listNumbered(store, keys.routes(model));
  const last = generations.at(-1) ?? 0;
  const digests = new Map<number, Digest>();
  for (let generation = FIRST_GENERATION; generation <= last; generation += 1)
    await tell(scope, keys.route(model, generation), async () => {
      digests.set(generation, await verifyRoute(scope, generation, digests.get(generation - 1) ?? null));
    });
  for (const { key, generation, route } of witnesses) {
    if (generation === null || route === null || digests.get(generation) === route) continue;
    const what = generation > last ? 'is gone' : 'is another now';
    problems.push({ kind: 'effect', key, detail: `a gateway serves route ${generation} (${route}), which ${what}` });
  }
  return generations.length;
}

async function verifyRoute(
  { store, trust, model, chain }: Scope,
  generation: number,
  previous: Digest | null,
): Promise<Digest> {
  const opened = await openRoute(store, model, generation);
  if (!opened) throw new SlipwayError('AUDIT_BROKEN', `route ${generation} was taken out`);
  const { route, envelope, digest } = opened;
  const entry = expectEntry(chain, route.audit, 'route.intended', contentOfRoute(route), 'content');
  trust.verify(envelope, {
    payloadType: PAYLOAD_TYPES.route,
    role: 'control',
    project: projectOf(model),
    at: new Date(entry.at),
  });
  if (route.previous !== previous)
    throw new SlipwayError('AUDIT_BROKEN', `route ${generation} does not follow route ${generation - 1}`);
  return digest;
}

async function verifyRelease({ store, trust, model, chain }: Scope, version: number): Promise<void> {
  const stored = await readManifest(store, model, version);
  if (!stored) throw new SlipwayError('AUDIT_BROKEN', `release ${version} was taken out`);
  const entry = expectEntry(
    chain,
    stored.manifest.audit,
    'release.registered',
    contentOfRelease(stored.manifest),
    'content',
  );
  const bundle = await store.get(keys.releaseBundle(model, version));
  if (!bundle) throw new SlipwayError('RELEASE_TAMPERED', `release ${version} has no signature`);
  const { files } = verifyReleaseBundle(trust, bundle, { project: projectOf(model), at: new Date(entry.at) });
  if (files.get('manifest.json') !== stored.ref.digest)
    throw new SlipwayError('RELEASE_TAMPERED', `the signature of release ${version} is that of another manifest`);
}

async function verifyApprovals(scope: Scope, version: number): Promise<number> {
  const approvals = await listApprovals(scope.store, scope.model, version);
  for (const { key, approval } of approvals)
    await tell(scope, key, async () => {
      if (!approval) throw new SlipwayError('SIGNATURE_INVALID', 'it is no approval');
      verifyApproval(scope, approval, version);
    });
  return approvals.length;
}

/** The document and its entry say the same of the same release, and the person whom the entry names signed it. */
function verifyApproval({ chain, trust, model }: Scope, { audit, envelope }: StoredApproval, version: number): void {
  const entry = expectEntry(chain, audit, 'approval.recorded', decisionDigest(envelope), 'approval');
  const { document, person } = trust.verify(envelope, {
    payloadType: PAYLOAD_TYPES.approval,
    role: 'approver',
    project: projectOf(model),
    at: new Date(entry.at),
  });
  const signed = readApproval(document);
  if (signed?.release.model !== model || signed.release.version !== version)
    throw new SlipwayError('APPROVAL_MISMATCH', 'it is an approval of another release');
  if (entry.actor !== person || entry.data['decision'] !== signed.decision)
    throw new SlipwayError('AUDIT_BROKEN', `entry ${entry.sequence} says otherwise than ${person} signed`);
}

/** An entry proves nobody's decision by itself: what was signed must be there too. */
async function verifyRecordedApprovals(scope: Scope): Promise<void> {
  const { store, model, chain } = scope;
  for (const { entry } of chain.entries.values()) {
    if (entry.kind !== 'approval.recorded') continue;
    await tell(scope, keys.auditEntry(model, entry.sequence), async () => {
      const { approval, release } = entry.data;
      const version = (release as { version?: unknown } | undefined)?.version;
      const isNamed = isDigest(approval) && typeof version === 'number';
      if (!isNamed || !(await store.get(keys.approval(model, version, approval))))
        throw new SlipwayError('AUDIT_BROKEN', 'the approval that it records is not there');
    });
  }
}

/** The entry that an effect names, when it is the one that announced this very effect. */
function expectEntry(
  chain: ReadChain,
  ref: AuditRef,
  kind: AuditKind,
  content: Digest,
  field: 'content' | 'approval',
): AuditEntry {
  const logged = chain.entries.get(ref.sequence);
  if (logged?.ref.digest !== ref.digest)
    throw new SlipwayError('AUDIT_BROKEN', `its entry ${ref.sequence} (${ref.digest}) is not in the log`);
  if (logged.entry.kind !== kind || logged.entry.data[field] !== content)
    throw new SlipwayError('AUDIT_BROKEN', `entry ${ref.sequence} does not announce it`);
  return logged.entry;
}

/** A refusal becomes a problem of the effect; an error of the store is none, and is thrown. */
async function tell(scope: Scope, key: string, verify: () => Promise<void>): Promise<void> {
  try {
    await verify();
  } catch (error) {
    if (!(error instanceof SlipwayError) || error.kind.retryable) throw error;
    scope.problems.push({ kind: 'effect', key, detail: error.message });
  }
}
