import { keys } from '../../workflows/domain/keys';
import type { RunRequest } from '../../workflows/domain/run';
import type { AuditLog } from '../../infra/audit/port';
import type { ObjectStore } from '../../infra/object-store/port';

/** A run takes its steps over from at most so many attempts before it. */
const maxAttempts = 50;

/**
 * Everybody who started the run, or an earlier attempt whose training it took over: none of them may approve it (I3). The log
 * says who started a run; what a run's request says of itself is not asked.
 */
export async function peopleBehind(
  ports: { store: ObjectStore; audit: AuditLog },
  request: RunRequest,
  startedBy: string,
): Promise<ReadonlySet<string>> {
  const people = new Set([startedBy]);
  const runs = await earlierRuns(ports.store, request);
  if (runs.size === 0) return people;
  for await (const { kind, data, actor } of ports.audit.entries(request.model)) {
    if (kind === 'run.started' && typeof data['run'] === 'string' && runs.has(data['run'])) people.add(actor);
  }
  return people;
}

async function earlierRuns(store: ObjectStore, request: RunRequest): Promise<ReadonlySet<string>> {
  const runs = new Set<string>();
  let from = request.from;
  while (from && !runs.has(from.run) && runs.size < maxAttempts) {
    runs.add(from.run);
    const bytes = await store.get(keys.runRequest(request.model, from.run));
    from = bytes ? (JSON.parse(Buffer.from(bytes).toString('utf8')) as RunRequest).from : null;
  }
  return runs;
}
