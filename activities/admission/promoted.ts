import { readEntry } from '../../infra/audit/chain';
import type { AuditLog } from '../../infra/audit/port';
import type { ObjectStore } from '../../infra/object-store/port';
import type { ModelName } from '../../workflows/domain/names';
import type { Arm } from '../../workflows/domain/route';

/**
 * Whether a route was decided that made this version the champion. Looks back from the newest entry no further than its registration:
 * a few entries, where it was promoted just now.
 */
export async function wasPromoted(
  ports: { readonly store: ObjectStore; readonly audit: Pick<AuditLog, 'head'> },
  model: ModelName,
  version: number,
): Promise<boolean> {
  for (let sequence = (await ports.audit.head(model))?.sequence ?? 0; sequence > 0; sequence -= 1) {
    const logged = await readEntry(ports.store, model, sequence);
    if (!logged) return false;
    const { kind, data } = logged.entry;
    if (kind === 'release.registered' && data['version'] === version) return false;
    if (kind === 'route.intended' && championVersion(data['arms']) === version) return true;
  }
  return false;
}

function championVersion(arms: unknown): number | undefined {
  return Array.isArray(arms) ? (arms as Arm[]).find(({ name }) => name === 'champion')?.release.version : undefined;
}
