import type { Digest } from '../../workflows/domain/digest';
import type { ReleaseManifest } from '../../workflows/domain/release';
import type { Route } from '../../workflows/domain/route';
import { digestOfJson } from '../object-store/digest';

/**
 * An effect names its audit entry, so the entry, written first, cannot name the effect's own digest. It holds the digest of the
 * effect without that reference (and without the instant of writing, which a retry may change); a reader compares both ways.
 */
export function contentOfRoute(route: Omit<Route, 'audit' | 'committedAt'>): Digest {
  return contentWithout(route, ['audit', 'committedAt']);
}

export function contentOfRelease(manifest: Omit<ReleaseManifest, 'audit'>): Digest {
  return contentWithout(manifest, ['audit']);
}

function contentWithout(document: object, left: readonly string[]): Digest {
  return digestOfJson(Object.fromEntries(Object.entries(document).filter(([name]) => !left.includes(name))));
}
