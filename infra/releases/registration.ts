import { SlipwayError } from '../../workflows/domain/errors';
import { keys } from '../../workflows/domain/keys';
import type { ReleaseManifest, ReleaseRef } from '../../workflows/domain/release';
import { contentOfRelease } from '../audit/effects';
import { auditIds } from '../audit/ids';
import type { AuditLog } from '../audit/port';
import { canonicalBytes } from '../object-store/digest';
import type { ObjectStore } from '../object-store/port';
import { signRelease } from '../signing/model-signing';
import type { Signer } from '../signing/port';
import { listVersions, readManifest, signedFiles, subjectOf, type StoredManifest } from './manifest';

export interface RegistrationPorts {
  readonly store: ObjectStore;
  readonly audit: AuditLog;
  /** The control key. */
  readonly signer: Signer;
}

/** Everything about a release but what its registration decides. */
export type ReleaseDraft = Omit<ReleaseManifest, 'schema' | 'version' | 'audit'>;

const maxLostRaces = 50;

/**
 * Gives a run's release the next version: audit entry, then manifest (the conditional create is what allocates the version), then
 * signature. The same run finds what it began, at whichever point it was cut off. Throws COMMAND_REFUSED when the run has
 * registered something else already, STORE_CONFLICT when other runs take every version.
 */
export async function registerRelease(
  ports: RegistrationPorts,
  draft: ReleaseDraft,
  actor: string,
): Promise<ReleaseRef> {
  for (let lost = 0; lost < maxLostRaces; lost += 1) {
    const versions = await listVersions(ports.store, draft.model);
    const own = await findOwn(ports.store, draft, versions);
    if (own) return sign(ports, own);
    const version = (versions.at(-1) ?? 0) + 1;
    const manifest = await intend(ports, draft, version, actor);
    await ports.store.create(keys.releaseManifest(draft.model, version), canonicalBytes(manifest));
    // Whether that was created, lost, or created under a lost reply shows in what is there now.
  }
  throw new SlipwayError(
    'STORE_CONFLICT',
    `run ${draft.run} lost ${maxLostRaces} races for a version of ${draft.model}`,
  );
}

async function intend(
  ports: RegistrationPorts,
  draft: ReleaseDraft,
  version: number,
  actor: string,
): Promise<ReleaseManifest> {
  const numbered = { schema: 'slipway.release/1', version, ...draft } as const;
  const content = contentOfRelease(numbered);
  const audit = await ports.audit.append(draft.model, {
    id: auditIds.release(draft.run, version),
    kind: 'release.registered',
    actor,
    summary: `${subjectOf(numbered)} registered by run ${draft.run}`,
    data: {
      run: draft.run,
      version,
      content,
      onnx: draft.onnx,
      approvalsRequired: draft.approvalsRequired,
      production: draft.production,
    },
    evidence: [draft.evidence],
  });
  return { ...numbered, audit };
}

/** Newest first: a retry looks for what was just written. */
async function findOwn(
  store: ObjectStore,
  draft: ReleaseDraft,
  versions: readonly number[],
): Promise<StoredManifest | null> {
  for (const version of [...versions].reverse()) {
    const stored = await readManifest(store, draft.model, version);
    if (stored?.manifest.run !== draft.run) continue;
    const { manifest } = stored;
    if (contentOfRelease(manifest) !== contentOfRelease({ schema: 'slipway.release/1', version, ...draft }))
      throw new SlipwayError(
        'COMMAND_REFUSED',
        `run ${draft.run} registered ${subjectOf(manifest)} with other contents already`,
      );
    return stored;
  }
  return null;
}

/** Ed25519 is deterministic: a second signature by the same key has the same bytes, so that a lost create is no conflict. */
async function sign(ports: RegistrationPorts, { manifest, ref }: StoredManifest): Promise<ReleaseRef> {
  const bundle = signRelease(ports.signer, subjectOf(ref), signedFiles(manifest, ref.digest));
  await ports.store.create(keys.releaseBundle(ref.model, ref.version), bundle);
  return ref;
}
