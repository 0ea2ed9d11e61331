import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestOf } from '../../../infra/object-store/digest';
import type { StoredRoute } from '../../../infra/routes/port';
import { canonicalJson } from '../../../workflows/domain/digest';
import type { ModelName } from '../../../workflows/domain/names';
import type { ReleaseManifest, ReleaseRef } from '../../../workflows/domain/release';
import type { KnownGeneration } from './followed-model';

/** The last route that was verified and served, with the manifests of its releases; their files lie in the blob cache. */
export interface CachedRoute extends StoredRoute {
  readonly releases: readonly { readonly ref: ReleaseRef; readonly manifest: ReleaseManifest }[];
  /** Generations whose challenger the local breaker took out. */
  readonly tripped: readonly number[];
}

/** A model that is not served any more, retired or stopped by a compromised key: how far it had come. */
export interface CachedEnd {
  readonly model: ModelName;
  readonly known: KnownGeneration;
  readonly isRetired: boolean;
}

export type CachedModel = CachedRoute | CachedEnd;

/**
 * One file a model in this gateway's own folder, so that it starts and serves when the store is gone. The folder is as
 * trusted as the process's own memory; digests are checked against damage.
 */
export class RouteCache {
  constructor(
    private readonly folder: string,
    private readonly onProblem: (error: Error) => void,
  ) {
    mkdirSync(folder, { recursive: true });
  }

  save(cached: CachedRoute): void {
    this.write(this.pathOf(cached.route.model), cached);
  }

  /** Takes the place of the route: a start finds nothing to serve, and still refuses lower generations. */
  saveKnown(cached: CachedEnd): void {
    const path = this.pathOf(cached.model);
    if (!this.write(path, cached)) rmSync(path, { force: true });
  }

  private write(path: string, cached: CachedModel): boolean {
    try {
      writeFileSync(`${path}.tmp`, JSON.stringify(cached));
      renameSync(`${path}.tmp`, path);
      return true;
    } catch (error) {
      this.onProblem(error as Error);
      return false;
    }
  }

  /** What can be read and has the digests it says; the rest is told and left. */
  readAll(): CachedModel[] {
    const names = readdirSync(this.folder).filter((name) => name.endsWith('.json'));
    return names.flatMap((name) => {
      try {
        const cached = JSON.parse(readFileSync(join(this.folder, name), 'utf8')) as CachedModel;
        return ['route' in cached ? checkDigests(cached) : cached];
      } catch (error) {
        this.onProblem(new Error(`the cached route ${name} is damaged`, { cause: error }));
        return [];
      }
    });
  }

  private pathOf(model: ModelName): string {
    return join(this.folder, `${model.replace('/', '__')}.json`);
  }
}

function checkDigests(cached: CachedRoute): CachedRoute {
  const documents = [
    { digest: cached.digest, document: cached.route as unknown },
    ...cached.releases.map(({ ref, manifest }) => ({ digest: ref.digest, document: manifest })),
  ];
  const damaged = documents.find(({ digest, document }) => digestOf(Buffer.from(canonicalJson(document))) !== digest);
  if (damaged) throw new Error(`bytes do not have the digest ${damaged.digest}`);
  return cached;
}
