import { mkdir } from 'node:fs/promises';
import { keys } from '../../workflows/domain/keys';
import type { ModelName } from '../../workflows/domain/names';
import type { ArmName } from '../../workflows/domain/route';
import { quoteName, quoteText, withDuckDb, type Cell, type DuckDb } from '../data/duckdb';
import type { ObjectStore } from '../object-store/port';
import { createPartMirror } from './mirror';
import { OVERRIDE_ARM, REFUSED } from './schema';

/** `override`: a tester asked for that release, which may have any arm of the route, also a shadow's. */
export type AnsweringArm = ArmName | typeof OVERRIDE_ARM;

/** One logged answer. Instants are RFC 3339 in UTC. */
export interface LoggedPrediction {
  readonly requestId: string;
  readonly eventTime: string;
  readonly receivedAt: string;
  readonly generation: number;
  readonly arm: AnsweringArm;
  /** Version of the release that answered. */
  readonly release: number;
  /** `ok` or an error code. */
  readonly status: string;
  readonly score: number | null;
  readonly inputs: Readonly<Record<string, Cell>>;
}

interface Found {
  readonly [column: string]: Cell;
  readonly request_id: string;
  readonly event_time: string;
  readonly received_at: string;
  readonly generation: number;
  readonly arm: AnsweringArm;
  readonly release: number;
  readonly status: string;
  readonly score: number | null;
}

const INPUT = 'x.';
const DAY_FOLDER = /\/dt=(\d{4}-\d{2}-\d{2})\//;
const INSTANT = '%Y-%m-%dT%H:%M:%S.%gZ';

/**
 * Rows of a request in the prediction log, each row once; those of a request with several rows are `<id>/<row>`. Looks at one event day, or from the newest
 * back until it is found. Parts are copied below `cacheFolder`. Empty where nothing was logged (any longer: see retention).
 */
export async function findRequest(
  store: ObjectStore,
  cacheFolder: string,
  model: ModelName,
  requestId: string,
  day: string | null,
): Promise<LoggedPrediction[]> {
  const mirror = createPartMirror(store, cacheFolder);
  await mkdir(cacheFolder, { recursive: true });
  for (const searched of day === null ? await loggedDays(store, model) : [day]) {
    const parts = await mirror.parts(keys.predictions(model), [searched]);
    if (parts.length === 0) continue;
    const options = { threads: 1, memoryMb: 512, folder: cacheFolder, files: [] };
    const rows = await withDuckDb(options, (db) => readRequest(db, parts, requestId));
    if (rows.length > 0) return rows;
  }
  return [];
}

/** Newest first. */
async function loggedDays(store: ObjectStore, model: ModelName): Promise<string[]> {
  const days: string[] = [];
  const prefix = keys.predictions(model);
  let after: string | undefined;
  for (;;) {
    const [key] = await store.list(prefix, { limit: 1, ...(after === undefined ? {} : { after }) });
    const day = key && DAY_FOLDER.exec(key)?.[1];
    if (!day) return days.reverse();
    days.push(day);
    after = `${prefix}dt=${day}/~`;
  }
}

/**
 * A gateway that restarts may log a row again, and a client may ask again: the first answer counts, and a refusal where none followed.
 * What the route decided comes before what a tester asked of an arm; a shadow answered nobody.
 */
async function readRequest(db: DuckDb, parts: readonly string[], requestId: string): Promise<LoggedPrediction[]> {
  const source = `read_parquet([${parts.map(quoteText).join(', ')}], union_by_name = true)`;
  const described = await db.rows<{ column_name: string }>(`DESCRIBE SELECT * FROM ${source}`);
  const inputs = described.map((row) => row.column_name).filter((name) => name.startsWith(INPUT));
  const rows = await db.rows<Found>(`
    SELECT request_id, strftime(event_time, '${INSTANT}') AS event_time, strftime(received_at, '${INSTANT}') AS received_at,
      generation, arm, release, status, score${inputs.map((name) => `, ${quoteName(name)}`).join('')}
    FROM ${source} WHERE (request_id = ${quoteText(requestId)} OR starts_with(request_id, ${quoteText(`${requestId}/`)}))
      AND arm IN ('champion', 'challenger', '${OVERRIDE_ARM}')
    QUALIFY row_number() OVER (PARTITION BY request_id ORDER BY arm = '${OVERRIDE_ARM}', ${REFUSED}, received_at, generation, arm) = 1
    ORDER BY request_id`);
  return rows.map((row) => ({
    requestId: row.request_id,
    eventTime: row.event_time,
    receivedAt: row.received_at,
    generation: row.generation,
    arm: row.arm,
    release: row.release,
    status: row.status,
    score: row.score,
    inputs: Object.fromEntries(inputs.map((name) => [name.slice(INPUT.length), row[name] ?? null])),
  }));
}
