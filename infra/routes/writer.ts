import type { Digest } from '../../workflows/domain/digest';
import { SlipwayError } from '../../workflows/domain/errors';
import { PAYLOAD_TYPES } from '../../workflows/domain/envelope';
import { keys } from '../../workflows/domain/keys';
import type { Route } from '../../workflows/domain/route';
import { contentOfRoute } from '../audit/effects';
import { auditIds } from '../audit/ids';
import type { AuditLog } from '../audit/port';
import { canonicalBytes } from '../object-store/digest';
import type { ObjectStore } from '../object-store/port';
import type { Signer } from '../signing/port';
import { routeProblem } from './document';
import type { RouteReader, StoredRoute } from './port';
import { mendRouteHint } from './route-index';

export interface RouteWriterPorts {
  readonly store: ObjectStore;
  readonly audit: AuditLog;
  readonly reader: RouteReader;
  /** The control key. */
  readonly signer: Signer;
  readonly workspace: string;
  readonly clock?: () => Date;
}

/** Everything about a route but what its commit decides. */
export interface RouteCommit {
  readonly route: Omit<Route, 'schema' | 'workspace' | 'generation' | 'previous' | 'audit' | 'committedAt'>;
  readonly onGeneration: number;
  readonly reason: string;
  readonly actor: string;
  readonly evidence: readonly Digest[];
  /** Event time up to which requests were answered when this was decided, RFC 3339; null where nothing was, or the clock is wall. */
  readonly watermark: string | null;
}

/**
 * Audits the intent, then creates the route of the next generation: that create is the commit (I1). A commit that was cut off, or
 * whose reply was lost, finds its own route by intent and content. Throws STORE_CONFLICT when another writer was first, or when
 * the generation it was planned on is not there; nothing is served from a commit that lost.
 */
export async function commitRoute(
  ports: RouteWriterPorts,
  commit: RouteCommit,
): Promise<{ generation: number; digest: Digest }> {
  const problem = routeProblem(commit.route);
  if (problem)
    throw new SlipwayError('INTERNAL', `the route planned for ${commit.route.model} cannot be served: ${problem}`);
  const generation = commit.onGeneration + 1;
  const { model } = commit.route;
  const previous = await ports.reader.at(model, commit.onGeneration);
  if (!previous && commit.onGeneration > 0) throw lost(commit, `generation ${commit.onGeneration} is not there`);
  const planned = {
    schema: 'slipway.route/1',
    workspace: ports.workspace,
    generation,
    previous: previous?.digest ?? null,
    ...commit.route,
  } as const;
  const content = contentOfRoute(planned);
  const standing = (await ports.reader.at(model, generation)) ?? (await create(ports, commit, planned, content));
  // The content holds the intent too.
  if (contentOfRoute(standing.route) !== content)
    throw lost(commit, `generation ${generation} was committed by intent ${standing.route.intent}`);
  await mendRouteHint(ports.store, model, generation);
  return { generation, digest: standing.digest };
}

type Planned = Omit<Route, 'audit' | 'committedAt'>;

/** The route that stands after the attempt, whoever wrote it. */
async function create(
  ports: RouteWriterPorts,
  commit: RouteCommit,
  planned: Planned,
  content: Digest,
): Promise<StoredRoute> {
  const { model, generation } = planned;
  const audit = await ports.audit.append(model, intentRecord(commit, planned, content));
  const route: Route = { ...planned, audit, committedAt: (ports.clock?.() ?? new Date()).toISOString() };
  await ports.store.create(
    keys.route(model, generation),
    canonicalBytes(ports.signer.sign(PAYLOAD_TYPES.route, route)),
  );
  const standing = await ports.reader.at(model, generation);
  if (!standing)
    throw new SlipwayError('STORE_UNAVAILABLE', `route ${generation} of ${model} was created and cannot be read back`);
  return standing;
}

function intentRecord(commit: RouteCommit, planned: Planned, content: Digest): Parameters<AuditLog['append']>[1] {
  const { generation, intent, state, arms, shadows, rollout } = planned;
  return {
    id: auditIds.route(generation, intent),
    kind: 'route.intended',
    actor: commit.actor,
    summary: `generation ${generation}: ${commit.reason}`,
    data: {
      generation,
      intent,
      content,
      reason: commit.reason,
      state,
      arms,
      shadows,
      rollout,
      watermark: commit.watermark,
    },
    evidence: commit.evidence,
  };
}

function lost(commit: RouteCommit, why: string): SlipwayError {
  return new SlipwayError(
    'STORE_CONFLICT',
    `route of ${commit.route.model} on generation ${commit.onGeneration}: ${why}`,
  );
}
