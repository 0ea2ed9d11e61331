import type { TensorType } from '../../../workflows/domain/release';
import type { RequestLimits, V2Request, V2Tensor } from '../inference/protocol';
import { invalid, isObject, parseJsonObject, quote, readId, readParameters, tooLarge } from '../inference/protocol';
import type { ServedModel } from '../routes/served-model';
import type { EntityKeys, FeatureRow } from './feature-lookup';
import { checkJsonBounds } from './json-bounds';

type Json = Readonly<Record<string, unknown>>;

/** The V1 form: rows as objects by feature name, or the entities whose features are to be looked up. */
export interface PredictRequest {
  readonly id: string | null;
  readonly parameters: Json;
  readonly rows: readonly Json[] | null;
  readonly entities: readonly EntityKeys[] | null;
}

/** Throws REQUEST_INVALID that names the member, or REQUEST_TOO_LARGE. */
export function parsePredictRequest(bytes: Buffer, limits: RequestLimits): PredictRequest {
  checkJsonBounds(bytes, limits);
  const body = parseJsonObject(bytes.toString('utf8'));
  const { instances, keys } = body;
  if ((instances === undefined) === (keys === undefined)) throw invalid('send either `instances` or `keys`');
  const known = { id: readId(body.id, limits), parameters: readParameters(body.parameters) };
  if (instances !== undefined) return { ...known, rows: readRows(instances, 'instances', limits), entities: null };
  const entities = readRows(keys, 'keys', limits);
  entities.forEach(checkEntity);
  return { ...known, rows: null, entities: entities as EntityKeys[] };
}

function readRows(rows: unknown, name: string, limits: RequestLimits): Json[] {
  if (!Array.isArray(rows)) throw invalid(`\`${name}\` must be a list of objects`);
  if (rows.length === 0) throw invalid(`\`${name}\` is empty`);
  if (rows.length > limits.rows) throw tooLarge(`${rows.length} rows; at most ${limits.rows} in one request`);
  for (let row = 0; row < rows.length; row += 1)
    if (!isObject(rows[row])) throw invalid(`${name}[${row}] must be an object of values by feature name`);
  return rows as Json[];
}

function checkEntity(entity: Json, at: number): void {
  const names = Object.keys(entity);
  const isKey = (value: unknown): boolean =>
    (typeof value === 'string' && value !== '') || (typeof value === 'number' && Number.isSafeInteger(value));
  if (names.length === 0 || !names.every((name) => isKey(entity[name])))
    throw invalid(`keys[${at}] must have keys that are text or whole numbers`);
}

/** Datatypes that a feature's JSON values are read as. FP64: JSON numbers are doubles, and may be rounded to the graph's FP32. */
const READ_AS: Readonly<Record<TensorType, string>> = { FP32: 'FP64', INT64: 'INT64', BYTES: 'BYTES', BOOL: 'BOOL' };

/**
 * Rows as one tensor for each feature of the releases that may answer. A feature that no row has is left out, one that some rows lack is
 * null there; values are checked as those of any request. Names that no release has are left alone, as unknown tensors are. Throws
 * REQUEST_INVALID where a row lacks what the champion cannot do without.
 */
export function tensorsOf(rows: readonly (Json | FeatureRow)[], served: ServedModel): V2Tensor[] {
  const tensors = new Map<string, V2Tensor>();
  for (const { manifest } of served.releases) {
    for (const { name, datatype, nullable } of manifest.signature.inputs) {
      if (tensors.has(name)) continue;
      const isNeeded = !nullable && manifest === served.champion.manifest;
      const data = columnOf(rows, name, isNeeded);
      if (data !== null) tensors.set(name, { name, datatype: READ_AS[datatype], shape: [rows.length, 1], data });
    }
  }
  // Rows without a single known feature still are rows: the model may do without all of them.
  if (tensors.size === 0) return [{ name: '', datatype: 'FP64', shape: [rows.length, 1], data: [] }];
  return [...tensors.values()];
}

function columnOf(rows: readonly (Json | FeatureRow)[], name: string, isNeeded: boolean): unknown[] | null {
  const data = new Array<unknown>(rows.length);
  let found = 0;
  for (let row = 0; row < rows.length; row += 1) {
    const value = Object.hasOwn(rows[row]!, name) ? rows[row]![name] : undefined;
    if (value !== undefined) found += 1;
    else if (isNeeded) throw missing(rows[row]!, row, name);
    data[row] = value ?? null;
  }
  return found > 0 ? data : null;
}

function missing(instance: Json | FeatureRow, row: number, name: string): Error {
  const lower = name.toLowerCase();
  const near = Object.keys(instance).find((given) => given.toLowerCase() === lower);
  const hint = near === undefined ? '' : `; it has ${quote(near)}, and names are case-sensitive`;
  return invalid(`row ${row} lacks feature ${quote(name)}${hint}`);
}

export function toV2(
  { id, parameters }: PredictRequest,
  rows: readonly (Json | FeatureRow)[],
  served: ServedModel,
): V2Request {
  return { id, parameters, inputs: tensorsOf(rows, served), outputs: null };
}
