import type { AuditEntry } from '../../workflows/domain/audit';
import { SlipwayError } from '../../workflows/domain/errors';
import { keys } from '../../workflows/domain/keys';
import type { ModelName } from '../../workflows/domain/names';
import { type ReleaseManifest, type ReleaseRef, whyNotForProduction } from '../../workflows/domain/release';
import { contentOfRelease } from '../audit/effects';
import type { AuditLog } from '../audit/port';
import type { BlobStore, ObjectStore } from '../object-store/port';
import { compromisedKeyOf } from '../signing/compromised-key';
import { verifyReleaseBundle } from '../signing/model-signing';
import type { Trust } from '../signing/port';
import { projectOf } from '../signing/project';
import { countApprovals } from './quorum';
import { listVersions, readManifest, signedFiles, subjectOf } from './manifest';
import type { ReleasePurpose, ReleaseRegistry } from './port';

export interface RegistryPorts {
  readonly store: ObjectStore;
  readonly blobs: BlobStore;
  readonly trust: Trust;
  readonly audit: Pick<AuditLog, 'find'>;
  readonly clock?: () => Date;
}

/** Releases as they are in the store, believed only as far as signatures, digests and the audit log carry. */
export function createReleaseRegistry(ports: RegistryPorts): ReleaseRegistry {
  return {
    manifest: (ref) => matchingManifest(ports.store, ref),
    list: (model) => listReleases(ports.store, model),
    verify: (ref, purpose) => verifyRelease(ports, ref, purpose),
  };
}

async function listReleases(store: ObjectStore, model: ModelName): Promise<ReleaseRef[]> {
  const stored = await Promise.all(
    (await listVersions(store, model)).map((version) => readManifest(store, model, version)),
  );
  return stored.flatMap((found) => (found ? [found.ref] : []));
}

async function matchingManifest(store: ObjectStore, ref: ReleaseRef): Promise<ReleaseManifest> {
  const stored = await readManifest(store, ref.model, ref.version);
  if (!stored) throw new SlipwayError('NOT_FOUND', `there is no version ${ref.version} of ${ref.model}`);
  if (stored.ref.digest !== ref.digest)
    throw tampered(ref, `its manifest has the digest ${stored.ref.digest}, not ${ref.digest}`);
  return stored.manifest;
}

async function verifyRelease(ports: RegistryPorts, ref: ReleaseRef, purpose: ReleasePurpose): Promise<ReleaseManifest> {
  const manifest = await matchingManifest(ports.store, ref);
  const { policy } = ports.trust;
  if (manifest.workspace !== policy.workspace)
    throw new SlipwayError(
      'WORKSPACE_MISMATCH',
      `${subjectOf(ref)} was registered in workspace ${manifest.workspace}, this is ${policy.workspace}`,
    );
  if (policy.production && !manifest.production)
    throw new SlipwayError(
      'RELEASE_UNAPPROVED',
      `${subjectOf(ref)} is not for production: ${whyNotForProduction(manifest)}`,
    );
  const [registered] = await Promise.all([registration(ports, ref, manifest), checkModelBytes(ports, ref, manifest)]);
  await checkBundle(ports, ref, manifest, [new Date(registered.at), ...instantsOf(purpose, ports)]);
  await checkApprovals(ports, ref, manifest, purpose);
  return manifest;
}

/** Besides the instant of recording: promotion also needs keys that are valid now. */
function instantsOf(purpose: ReleasePurpose, ports: RegistryPorts): Date[] {
  return purpose === 'promote' ? [ports.clock?.() ?? new Date()] : [];
}

async function registration(ports: RegistryPorts, ref: ReleaseRef, manifest: ReleaseManifest): Promise<AuditEntry> {
  const entry = await ports.audit.find(ref.model, manifest.audit);
  if (entry?.kind !== 'release.registered' || entry.data['content'] !== contentOfRelease(manifest))
    throw tampered(ref, 'the audit log does not hold its registration');
  return entry;
}

async function checkModelBytes(ports: RegistryPorts, ref: ReleaseRef, manifest: ReleaseManifest): Promise<void> {
  try {
    await ports.blobs.get(manifest.onnx);
  } catch (error) {
    if (error instanceof SlipwayError && (error.code === 'STORE_CORRUPT' || error.code === 'NOT_FOUND'))
      throw tampered(ref, `its model file is missing or changed: ${error.message}`, error);
    throw error;
  }
}

async function checkBundle(
  ports: RegistryPorts,
  ref: ReleaseRef,
  manifest: ReleaseManifest,
  instants: readonly Date[],
): Promise<void> {
  const bytes = await ports.store.get(keys.releaseBundle(ref.model, ref.version));
  if (!bytes) throw tampered(ref, 'it has no signature');
  for (const at of instants) {
    const bundle = openBundle(ports.trust, ref, bytes, at);
    const expected = signedFiles(manifest, ref.digest);
    if (bundle.subject !== subjectOf(ref)) throw tampered(ref, `its signature is that of ${bundle.subject}`);
    const wrong = expected.find(({ name, digest }) => bundle.files.get(name) !== digest);
    if (wrong ?? bundle.files.size !== expected.length)
      throw tampered(ref, `its signature does not cover ${wrong?.name ?? 'these files only'}`);
  }
}

function openBundle(
  trust: Trust,
  ref: ReleaseRef,
  bytes: Uint8Array,
  at: Date,
): ReturnType<typeof verifyReleaseBundle> {
  try {
    return verifyReleaseBundle(trust, bytes, { project: projectOf(ref.model), at });
  } catch (error) {
    if (error instanceof SlipwayError && error.code !== 'KEY_REVOKED') throw tampered(ref, error.message, error);
    throw error;
  }
}

async function checkApprovals(
  ports: RegistryPorts,
  ref: ReleaseRef,
  manifest: ReleaseManifest,
  purpose: ReleasePurpose,
): Promise<void> {
  const required = Math.max(manifest.approvalsRequired, ports.trust.policy.minApprovals);
  if (required === 0) return;
  const [now] = instantsOf(purpose, ports);
  const counted = await countApprovals(ports, ref, manifest, now ?? null);
  if (counted.rejectedBy)
    throw new SlipwayError('RELEASE_UNAPPROVED', `${subjectOf(ref)} was rejected by ${counted.rejectedBy}`);
  if (counted.people.size >= required) return;
  const why =
    counted.refused.length > 0 ? `; not counted: ${counted.refused.map(({ error }) => error.message).join('; ')}` : '';
  const revoked = counted.refused.filter(({ error }) => error.code === 'KEY_REVOKED').map(({ error }) => error);
  throw new SlipwayError(
    revoked.length > 0 ? 'KEY_REVOKED' : 'RELEASE_UNAPPROVED',
    `${subjectOf(ref)} has ${counted.people.size} valid approvals of ${required}${why}`,
    // A compromised key is what its reader must act on, whatever else was refused.
    { cause: revoked.find((error) => compromisedKeyOf(error) !== null) ?? revoked[0] },
  );
}

function tampered(ref: ReleaseRef, what: string, cause?: unknown): SlipwayError {
  return new SlipwayError('RELEASE_TAMPERED', `${subjectOf(ref)}: ${what}`, { cause });
}
