import { digestOfJson } from '../../infra/object-store/digest';
import { SlipwayError } from '../../workflows/domain/errors';
import { keys } from '../../workflows/domain/keys';
import type { ModelName } from '../../workflows/domain/names';
import type { ReleaseManifest, ReleaseRef } from '../../workflows/domain/release';
import type { SlipwayClient } from '../slipway-client';

export interface FoundRelease {
  readonly ref: ReleaseRef;
  readonly manifest: ReleaseManifest;
}

/** For display and for naming a release in a command; whoever acts on it verifies it. Throws NOT_FOUND. */
export async function findRelease(client: SlipwayClient, model: ModelName, version: number): Promise<FoundRelease> {
  const bytes = await client.store.get(keys.releaseManifest(model, version));
  if (!bytes) throw new SlipwayError('NOT_FOUND', `model ${model} has no release ${version}`);
  const manifest = JSON.parse(Buffer.from(bytes).toString('utf8')) as ReleaseManifest;
  return { ref: { model, version, digest: digestOfJson(manifest) }, manifest };
}

/** Oldest first. */
export async function listReleases(client: SlipwayClient, model: ModelName): Promise<FoundRelease[]> {
  const names = await client.store.list(keys.releases(model));
  const versions = names.filter((key) => key.endsWith('/manifest.json')).map((key) => Number(key.split('/').at(-2)));
  return Promise.all(versions.map((version) => findRelease(client, model, version)));
}
