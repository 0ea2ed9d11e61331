import type { ObjectStore } from '../infra/object-store/port';
import { SlipwayError } from '../workflows/domain/errors';
import { keys } from '../workflows/domain/keys';
import { type ModelName, parseModelName } from '../workflows/domain/names';
import type { RunRequest, RunResult } from '../workflows/domain/run';

/** Sorts after every character of our keys: listing goes on with the next folder. */
const AFTER_ALL = '~';

export interface ListedRun {
  readonly request: RunRequest;
  /** Null while it runs. */
  readonly result: RunResult | null;
}

/** Runs of a model that the store knows, newest first. */
export async function listRuns(store: ObjectStore, model: ModelName): Promise<ListedRun[]> {
  const runs = await listFolders(store, keys.runs(model));
  const listed = await Promise.all(runs.map((run) => readRun(store, model, run)));
  return listed
    .filter((run): run is ListedRun => run !== null)
    .sort((a, b) => (a.request.requestedAt < b.request.requestedAt ? 1 : -1));
}

export async function readRun(store: ObjectStore, model: ModelName, run: string): Promise<ListedRun | null> {
  const [request, result] = await Promise.all([
    readJson<RunRequest>(store, keys.runRequest(model, run)),
    readJson<RunResult>(store, keys.runResult(model, run)),
  ]);
  return request === null ? null : { request, result };
}

/** Models that have runs or routes. */
export async function listModels(store: ObjectStore): Promise<ModelName[]> {
  const found = new Set<ModelName>();
  for (const prefix of ['runs/', 'routes/']) {
    for (const project of await listFolders(store, prefix)) {
      for (const model of await listFolders(store, `${prefix}${project}/`)) {
        const name = `${project}/${model}`;
        if (parseModelName(name)) found.add(name);
      }
    }
  }
  return [...found].sort();
}

/** Whether anything of the model was ever registered or routed, so that a deployment of it has something to serve. */
export async function isDeployable(store: ObjectStore, model: ModelName): Promise<boolean> {
  if (!parseModelName(model)) return false;
  const found = await Promise.all(
    [keys.releases(model), keys.routes(model)].map((prefix) => store.list(prefix, { limit: 1 })),
  );
  return found.some((some) => some.length > 0);
}

/** Newest run of a model. Throws NOT_FOUND. */
export async function newestRun(store: ObjectStore, model: ModelName): Promise<ListedRun> {
  const newest = (await listRuns(store, model))[0];
  if (!newest) throw new SlipwayError('NOT_FOUND', `model ${model} has no run in this workspace`);
  return newest;
}

/** Names directly below a prefix, without reading what is in them. */
async function listFolders(store: ObjectStore, prefix: string): Promise<string[]> {
  const names: string[] = [];
  let after: string | undefined;
  for (;;) {
    const [key] = await store.list(prefix, { limit: 1, ...(after === undefined ? {} : { after }) });
    if (key === undefined) return names;
    const name = key.slice(prefix.length).split('/')[0]!;
    if (key.length > prefix.length + name.length) names.push(name);
    after = `${prefix}${name}/${AFTER_ALL}`;
  }
}

async function readJson<T>(store: ObjectStore, key: string): Promise<T | null> {
  const bytes = await store.get(key);
  return bytes === null ? null : (JSON.parse(Buffer.from(bytes).toString('utf8')) as T);
}
