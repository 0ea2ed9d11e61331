import { canonicalJson, type Digest } from './digest';
import type { ImportedModel, RunRequest } from './run';

/** What makes two runs the same: a start with the same identity and attempt joins the run that exists. */
export type RunIdentity = Pick<RunRequest, 'model' | 'commit' | 'spec' | 'asOf'> & {
  readonly imported: ImportedModel | null;
};

/** Canonical bytes of an identity, as text; hash them with SHA-256 for `runId`. A model from elsewhere is part of it. */
export function runIdentityText(identity: RunIdentity): string {
  const { model, commit, spec, asOf, imported } = identity;
  return canonicalJson({ model, commit, spec, asOf, ...(imported ? { imported } : {}) });
}

/** `r-<first 10 hex digits of the identity's digest>-<attempt>`. */
export function runId(identity: Digest, attempt: number): string {
  return `${runIdPrefix(identity)}${attempt}`;
}

/** What the ids of all attempts begin with. */
export function runIdPrefix(identity: Digest): string {
  return `r-${identity.slice('sha256:'.length, 'sha256:'.length + 10)}-`;
}
