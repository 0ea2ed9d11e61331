import { calibrationNotes, type Calibrated } from '../../workflows/domain/calibration';
import { incompatibilities } from '../../workflows/domain/signature';
import type { ModelName } from '../../workflows/domain/names';
import type { ReleaseManifest, ReleaseRef } from '../../workflows/domain/release';
import type { ModelSpec } from '../../workflows/domain/spec';
import type { ReleaseRegistry } from '../../infra/releases/port';
import type { RouteReader } from '../../infra/routes/port';

export interface Champion {
  readonly ref: ReleaseRef;
  readonly manifest: ReleaseManifest;
}

/** The release that the newest route gives to callers; null before the first. */
export async function findChampion(
  ports: { readonly reader: Pick<RouteReader, 'newest'>; readonly registry: Pick<ReleaseRegistry, 'manifest'> },
  model: ModelName,
): Promise<Champion | null> {
  const stored = await ports.reader.newest(model);
  const ref = stored?.route.arms.find((arm) => arm.name === 'champion')?.release;
  return ref ? { ref, manifest: await ports.registry.manifest(ref) } : null;
}

/** Why the champion cannot be scored on rows of this spec; null when it can. Columns mean what the spec declares, not what they are called. */
export function whyUnscored(champion: Champion, spec: Pick<ModelSpec, 'features' | 'task'>): string | null {
  const { signature } = champion.manifest;
  const features = new Map(spec.features.map((feature) => [feature.name, feature]));
  const problems = signature.inputs.flatMap(({ name, type, unit }) => {
    const feature = features.get(name);
    if (!feature) return [`it takes ${name}, which is not among the spec's features`];
    if (feature.type !== type) return [`it takes ${name} as ${type}, the spec has it as ${feature.type}`];
    return feature.unit === unit
      ? []
      : [`it takes ${name} in ${unit || 'no unit'}, the spec has it in ${feature.unit || 'no unit'}`];
  });
  if (signature.task !== spec.task) problems.push(`it was made for ${signature.task}`);
  return problems.length > 0
    ? `Release ${champion.ref.version} cannot be scored on this holdout: ${problems.join('; ')}.`
    : null;
}

/** One sentence for each thing that callers of the champion could not go on doing. */
export function compatibilityNotes(champion: Champion | null, candidate: Calibrated): readonly string[] {
  if (!champion) return [];
  const { manifest } = champion;
  return [...incompatibilities(manifest.signature, candidate.signature), ...calibrationNotes(manifest, candidate)];
}
