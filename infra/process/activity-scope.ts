import { Context } from '@temporalio/activity';

/** What long work needs of the activity it runs in. */
export interface ActivityScope {
  readonly signal: AbortSignal | undefined;
  readonly heartbeat: (details: unknown) => void;
}

const HEARTBEAT_MS = 1_000;

/** The activity that runs; nothing to report to where none does (tests, tools). */
function currentScope(): ActivityScope {
  try {
    const context = Context.current();
    return { signal: context.cancellationSignal, heartbeat: (details) => context.heartbeat(details) };
  } catch {
    return { signal: undefined, heartbeat: () => undefined };
  }
}

/** Runs `work` with a heartbeat each second, which repeats the newest details: a heartbeat says that this process lives. */
export async function withHeartbeat<T>(work: (scope: ActivityScope) => Promise<T>): Promise<T> {
  const scope = currentScope();
  let newest: unknown = null;
  scope.heartbeat(newest);
  const timer = setInterval(() => scope.heartbeat(newest), HEARTBEAT_MS);
  const heartbeat = (details: unknown): void => {
    newest = details;
    scope.heartbeat(details);
  };
  try {
    return await work({ signal: scope.signal, heartbeat });
  } finally {
    clearInterval(timer);
  }
}
