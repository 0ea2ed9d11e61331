import { INPUT_COLUMN_TYPES } from '../../infra/predictions/schema';
import type { ModelName } from '../../workflows/domain/names';
import type { InputSignature } from '../../workflows/domain/release';
import { traceIdOf } from './edge/trace';
import { isMissing } from './input-plan';
import type { LoggedRequest } from './prediction-row';
import { rowId, sampleOf } from './prediction-row';
import type { ServedModel } from './served-model';

/** Types that rows are staged in; instants and integers travel as doubles and are cast when the file is written. */
export type StagedType = 'VARCHAR' | 'DOUBLE' | 'BOOLEAN';

export interface StagedColumn {
  readonly name: string;
  readonly staged: StagedType;
  /** SQL type of the Parquet column; TIMESTAMP is staged as epoch ms. */
  readonly type: string;
  readonly values: (string | number | boolean | null)[];
}

/** Rows of one model for the log thread, column by column. */
export interface PredictionBatch {
  readonly model: ModelName;
  readonly sequence: number;
  readonly rows: number;
  readonly columns: readonly StagedColumn[];
}

/** Epoch ms of each row's event: what files are partitioned by. */
export const EVENT_COLUMN = 'event_time';

type RowColumn = (request: LoggedRequest, row: number) => string | number | boolean | null;
interface ColumnLayout {
  readonly name: string;
  readonly staged: StagedType;
  readonly type: string;
  readonly read: RowColumn;
}

const layouts = new WeakMap<ServedModel, readonly ColumnLayout[]>();

/** Lays out requests of one generation. The columns of infra/predictions/schema.ts, then the union of its arms' inputs. */
export function stagePredictions(
  served: ServedModel,
  requests: readonly LoggedRequest[],
  sequence: number,
): PredictionBatch {
  let layout = layouts.get(served);
  if (!layout) layouts.set(served, (layout = [...FIXED, ...inputColumns(served)]));
  const columns = layout.map(({ name, staged, type, read }) => ({
    name,
    staged,
    type,
    values: readColumn(requests, read),
  }));
  return { model: served.route.model, sequence, rows: columns[0]!.values.length, columns };
}

function readColumn(requests: readonly LoggedRequest[], read: RowColumn): (string | number | boolean | null)[] {
  const values: (string | number | boolean | null)[] = [];
  for (const request of requests) for (let row = 0; row < request.rows; row += 1) values.push(read(request, row));
  return values;
}

const FIXED: readonly ColumnLayout[] = [
  {
    name: 'request_id',
    staged: 'VARCHAR',
    type: 'VARCHAR',
    read: (request, row) => rowId(request.requestId, request.rows, row),
  },
  { name: EVENT_COLUMN, staged: 'DOUBLE', type: 'TIMESTAMP', read: (request) => request.eventMs },
  { name: 'received_at', staged: 'DOUBLE', type: 'TIMESTAMP', read: (request) => request.receivedMs },
  { name: 'generation', staged: 'DOUBLE', type: 'INTEGER', read: (request) => request.served.route.generation },
  { name: 'arm', staged: 'VARCHAR', type: 'VARCHAR', read: (request) => request.arm },
  { name: 'release', staged: 'DOUBLE', type: 'INTEGER', read: (request) => request.release.ref.version },
  { name: 'assignment_key', staged: 'VARCHAR', type: 'VARCHAR', read: readKey },
  { name: 'status', staged: 'VARCHAR', type: 'VARCHAR', read: (request) => request.status },
  { name: 'score', staged: 'DOUBLE', type: 'DOUBLE', read: (request, row) => request.scores?.[row] ?? null },
  { name: 'paired_release', staged: 'DOUBLE', type: 'INTEGER', read: (request) => request.pairedRelease },
  {
    name: 'paired_score',
    staged: 'DOUBLE',
    type: 'DOUBLE',
    read: (request, row) => request.pairedScores?.[row] ?? null,
  },
  { name: 'latency_us', staged: 'DOUBLE', type: 'INTEGER', read: (request) => request.latencyUs },
  { name: 'sample', staged: 'DOUBLE', type: 'DOUBLE', read: (request) => sampleOf(request.served) },
  { name: 'trace_id', staged: 'VARCHAR', type: 'VARCHAR', read: (request) => traceIdOf(request.traceparent) },
];

/** A key that is a redacted feature's value would tell it. */
function readKey({ key, served, release }: LoggedRequest): string | null {
  const { assignment } = served.route;
  if (assignment.source !== 'feature') return key;
  return release.manifest.serving.log.redact.includes(assignment.name) ? null : key;
}

/** The champion's declaration wins where two arms give one name different types; the other arm's values are null there. */
function inputColumns(served: ServedModel): ColumnLayout[] {
  const inputs = new Map<string, InputSignature>();
  for (const release of served.releases) {
    for (const input of release.manifest.signature.inputs) if (!inputs.has(input.name)) inputs.set(input.name, input);
  }
  return [...inputs.values()].map((input) => {
    const staged = input.type === 'category' ? 'VARCHAR' : input.type === 'boolean' ? 'BOOLEAN' : 'DOUBLE';
    return { name: `x.${input.name}`, staged, type: INPUT_COLUMN_TYPES[input.type], read: readInput(served, input) };
  });
}

function readInput(served: ServedModel, input: InputSignature): RowColumn {
  const places = new Map(
    served.releases.map((release) => {
      const { inputs } = release.manifest.signature;
      return [release, inputs.findIndex((own) => own.name === input.name && own.type === input.type)];
    }),
  );
  return (request, row) => {
    // By the release that answered: what one release may keep, the next may not.
    if (request.release.manifest.serving.log.redact.includes(input.name)) return null;
    const value = request.inputs.columns[places.get(request.readBy) ?? -1]?.[row];
    if (value === undefined || isMissing(value)) return null;
    return input.type === 'boolean' ? value === 1 : value;
  };
}
