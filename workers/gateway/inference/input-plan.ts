import { canonicalJson } from '../../../workflows/domain/digest';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { InputSignature, Signature } from '../../../workflows/domain/release';
import type { Column } from './conversion';
import { isTyped, MISSING_INT64, toColumn } from './conversion';
import type { TensorData } from '../http/tensor-data';
import type { TypedColumn } from '../http/typed-columns';
import { splitMatrix } from './matrix-form';
import type { RequestLimits, V2Request, V2Tensor } from './protocol';
import { invalid, quote, rowsOf, tooLarge } from './protocol';

/** A request's rows as one release takes them. */
export interface DecodedInputs {
  readonly rows: number;
  /** In the order of the signature's inputs. */
  readonly columns: Column[];
  /** Values that were outside what is declared and went in under the policy `flag`, and those taken as missing under `impute`. */
  readonly flagged: number;
  readonly imputed: number;
}

/** Own name for it: an import is looked up at each use, and the loops below use it for each value. */
const MISSING = MISSING_INT64;

interface PlannedInput {
  readonly signature: InputSignature;
  readonly categories: ReadonlySet<string> | null;
  /** Where the last request had this input; callers keep their order, so the search almost never runs. */
  lastIndex: number;
}

/** A number for each declaration of inputs that was met: few, as releases of a model mostly share theirs. */
const forms = new Map<string, number>();

function formOf(inputs: readonly InputSignature[]): number {
  const declared = canonicalJson(inputs);
  if (!forms.has(declared)) forms.set(declared, forms.size);
  return forms.get(declared)!;
}

/** A signature made ready for reading requests: the model ABI is checked before inference, never by the graph. */
export class InputPlan {
  private readonly inputs: PlannedInput[];
  private readonly names: readonly string[];
  private readonly isNumeric: boolean;
  private readonly form: number;

  constructor(
    readonly signature: Signature,
    private readonly limits: RequestLimits,
  ) {
    this.inputs = signature.inputs.map((input, index) => ({
      signature: input,
      categories: input.values ? new Set(input.values) : null,
      lastIndex: index,
    }));
    this.names = signature.inputs.map(({ name }) => name);
    this.isNumeric = signature.inputs.every(({ datatype }) => datatype !== 'BYTES');
    this.form = formOf(signature.inputs);
  }

  /** As `decode`, of a request that another plan has read: the other arm's inputs are mostly the same, and so is what comes of them. */
  decodeAgain(request: V2Request, readBy: InputPlan, read: DecodedInputs): DecodedInputs {
    return this.form === readBy.form ? read : this.decode(request);
  }

  /**
   * Reads this signature's inputs out of a request; other tensors are left alone, since callers send the union of features
   * while a model migrates. Throws REQUEST_INVALID, REQUEST_TOO_LARGE or INPUT_INVALID (row, feature, value, what is allowed).
   * Leaves the request as it is: the other arm may read it too.
   */
  decode(request: V2Request): DecodedInputs {
    const columns: Column[] = new Array<Column>(this.inputs.length);
    const tensors = this.tensorsOf(request);
    const rows = this.countRows(tensors);
    let flagged = 0;
    let imputed = 0;
    for (let at = 0; at < this.inputs.length; at += 1) {
      const input = this.inputs[at]!;
      const tensor = this.find(tensors, input);
      if (tensor === null) {
        columns[at] = missingColumn(input, rows);
        continue;
      }
      const tensorRows = rowsOf(tensor);
      if (tensorRows !== rows) throw invalid(`input ${quote(tensor.name)} has ${tensorRows} rows, others have ${rows}`);
      const column = toColumn(tensor, input.signature, rows, this.limits);
      const wrong = checkColumn(column, input);
      if (wrong > 0 && input.signature.onInvalid === 'impute') {
        columns[at] = imputeColumn(column, input);
        imputed += wrong;
      } else {
        columns[at] = column;
        flagged += wrong;
      }
    }
    return { rows, columns, flagged, imputed };
  }

  /** The elements of one input, row by row and unchecked; null where the request does not have it. Throws as `decode` does. */
  elementsOf(request: V2Request, name: string): TensorData | null {
    return this.tensorsOf(request).find((tensor) => tensor.name === name)?.data ?? null;
  }

  private tensorsOf({ inputs }: V2Request): readonly V2Tensor[] {
    return inputs.length === 1 && this.isMatrix(inputs[0]!) ? splitMatrix(inputs[0]!, this.names) : inputs;
  }

  /** The one tensor of a request that has no input's name, and a column for each input. */
  private isMatrix({ name, shape }: V2Tensor): boolean {
    const [rows, width] = shape;
    const isShaped = shape.length === 2 && width === this.names.length && Number.isSafeInteger(rows) && rows! > 0;
    if (!isShaped || !this.isNumeric || this.names.includes(name)) return false;
    if (rows! > this.limits.rows) throw tooLarge(`${rows} rows; at most ${this.limits.rows} in one request`);
    return true;
  }

  /** Null where the request lacks an input that may be missing: a new nullable feature breaks no caller. */
  private find(tensors: readonly V2Tensor[], input: PlannedInput): V2Tensor | null {
    const name = input.signature.name;
    const guess = tensors[input.lastIndex];
    if (guess?.name === name) return guess;
    for (let at = 0; at < tensors.length; at += 1) {
      if (tensors[at]!.name === name) {
        input.lastIndex = at;
        return tensors[at]!;
      }
    }
    if (input.signature.nullable && input.signature.datatype !== 'BOOL') return null;
    throw invalid(
      `input ${quote(name)} is missing; the model takes ${this.inputs.map((known) => known.signature.name).join(', ')}`,
    );
  }

  private countRows(tensors: readonly V2Tensor[]): number {
    const first = tensors[0];
    if (first === undefined) throw invalid('`inputs` is empty');
    const rows = rowsOf(first);
    if (rows > this.limits.rows) throw tooLarge(`${rows} rows; at most ${this.limits.rows} in one request`);
    return rows;
  }
}

/** Number of values outside what is declared. Throws INPUT_INVALID at the first where the policy is `reject`. */
function checkColumn(column: Column, input: PlannedInput): number {
  if (isTyped(column)) return checkTyped(column, input.signature);
  let wrong = 0;
  for (let row = 0; row < column.length; row += 1) {
    if (isAllowed(column[row]!, input)) continue;
    if (input.signature.onInvalid === 'reject') throw refuse(column[row]!, row, input.signature);
    wrong += 1;
  }
  return wrong;
}

/** Numbers only, and two kinds of array: apart from lists, whose loop would be slower for it. */
function checkTyped(column: TypedColumn, signature: InputSignature): number {
  const [low, high] = signature.range ?? [-Infinity, Infinity];
  let wrong = 0;
  for (let row = 0; row < column.length; row += 1) {
    const value = column[row]!;
    // What is missing fails a comparison or the second test.
    if (value >= low && value <= high && value !== MISSING) continue;
    if (signature.nullable && isMissing(value)) continue;
    if (signature.onInvalid === 'reject') throw refuse(value, row, signature);
    wrong += 1;
  }
  return wrong;
}

function isAllowed(value: number | string, { signature, categories }: PlannedInput): boolean {
  if (isMissing(value)) return signature.nullable;
  if (typeof value === 'string') return categories === null || categories.has(value);
  const range = signature.range;
  return range === null || (value >= range[0] && value <= range[1]);
}

export function isMissing(value: number | string): boolean {
  // NaN is the one value that differs from itself.
  return value === '' || value === MISSING || value !== value;
}

/** A copy: the other arm may take the value as it is. BOOL has no missing value, and nothing to be out of range. */
function imputeColumn(column: Column, input: PlannedInput): Column {
  const missing = missingValue(input.signature);
  if (isTyped(column)) return column.map((value) => (isAllowed(value, input) ? value : (missing as number)));
  return column.map((value) => (isAllowed(value, input) ? value : missing));
}

function missingColumn(input: PlannedInput, rows: number): Column {
  return new Array<number | string>(rows).fill(missingValue(input.signature));
}

/** BOOL has none. */
export function missingValue({ datatype }: Pick<InputSignature, 'datatype'>): number | string {
  return datatype === 'BYTES' ? '' : datatype === 'INT64' ? MISSING_INT64 : NaN;
}

function refuse(value: number | string, row: number, input: InputSignature): SlipwayError {
  const place = `row ${row}, feature ${quote(input.name)}`;
  if (isMissing(value))
    return new SlipwayError('INPUT_INVALID', `${place}: the value is missing and the feature is not nullable`);
  if (typeof value === 'string') {
    const known = (input.values ?? []).slice(0, 8).map(quote).join(', ');
    return new SlipwayError(
      'INPUT_INVALID',
      `${place}: ${quote(value)} is no known category (${known}${(input.values?.length ?? 0) > 8 ? ', …' : ''})`,
    );
  }
  const unit = input.unit ? ` ${input.unit}` : '';
  const [low, high] = input.range ?? [-Infinity, Infinity];
  return new SlipwayError('INPUT_INVALID', `${place}: ${value} is outside ${low} to ${high}${unit}`);
}
