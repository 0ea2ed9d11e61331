import { z } from 'zod';
import { isDigest, type Digest } from '../../workflows/domain/digest';
import { SlipwayError } from '../../workflows/domain/errors';
import { keys } from '../../workflows/domain/keys';
import type { ModelName } from '../../workflows/domain/names';
import type { ReleaseManifest, ReleaseRef } from '../../workflows/domain/release';
import { auditRefSchema } from '../audit/chain';
import { listAll } from '../object-store/list-all';
import { digestOf } from '../object-store/digest';
import type { ObjectStore } from '../object-store/port';
import type { SignedFile } from '../signing/model-signing';

const digest = z.custom<Digest>(isDigest);

/** The fields that decisions hang on; the digest covers all others. */
const manifestSchema = z.looseObject({
  schema: z.literal('slipway.release/1'),
  workspace: z.string(),
  model: z.string(),
  version: z.number().int().min(1),
  run: z.string(),
  kind: z.literal('endpoint').optional(),
  onnx: digest,
  evidence: digest,
  spec: digest,
  lineage: z.looseObject({ startedBy: z.string() }),
  approvalsRequired: z.number().int().min(0),
  production: z.boolean(),
  audit: auditRefSchema,
});

export interface StoredManifest {
  readonly manifest: ReleaseManifest;
  readonly ref: ReleaseRef;
}

/** The manifest under a version as it is in the store, nothing verified but its place; null where there is none. */
export async function readManifest(
  store: ObjectStore,
  model: ModelName,
  version: number,
): Promise<StoredManifest | null> {
  const bytes = await store.get(keys.releaseManifest(model, version));
  if (!bytes) return null;
  const manifest = parseManifest(bytes);
  if (!manifest || manifest.model !== model || manifest.version !== version)
    throw new SlipwayError('RELEASE_TAMPERED', `the manifest of ${model} version ${version} is not one of this place`);
  return { manifest, ref: { model, version, digest: digestOf(bytes) } };
}

/** Versions that have a manifest, ascending. */
export async function listVersions(store: ObjectStore, model: ModelName): Promise<number[]> {
  const prefix = keys.releases(model);
  const versions: number[] = [];
  for await (const key of listAll(store, prefix)) {
    const match = /^(\d{12})\/manifest\.json$/.exec(key.slice(prefix.length));
    if (match) versions.push(Number(match[1]));
  }
  return versions;
}

/** The files that a release's signature covers, under the names a person would give them in a folder. */
export function signedFiles(manifest: ReleaseManifest, digestOfManifest: Digest): SignedFile[] {
  return [
    { name: 'manifest.json', digest: digestOfManifest },
    { name: manifest.kind === 'endpoint' ? 'endpoint.json' : 'model.onnx', digest: manifest.onnx },
    { name: 'model-card.md', digest: manifest.modelCard },
    { name: 'evidence.json', digest: manifest.evidence },
    { name: 'samples.json', digest: manifest.samples },
    { name: 'spec.json', digest: manifest.spec },
    ...(manifest.profile ? [{ name: 'profile.json', digest: manifest.profile }] : []),
  ];
}

/** Name of the signed subject. */
export function subjectOf(ref: Pick<ReleaseRef, 'model' | 'version'>): string {
  return `${ref.model}@${ref.version}`;
}

function parseManifest(bytes: Uint8Array): ReleaseManifest | null {
  try {
    const parsed = manifestSchema.safeParse(JSON.parse(Buffer.from(bytes).toString('utf8')));
    return parsed.success ? (parsed.data as unknown as ReleaseManifest) : null;
  } catch {
    return null;
  }
}
