import { decodeTensor } from '../http/binary-tensors';
import type { TensorData } from '../http/tensor-data';
import type { RequestLimits } from '../inference/protocol';
import { invalid, quote } from '../inference/protocol';
import type { NumberKind, WireReader } from './wire-reader';

/** A field of InferTensorContents, and how its values are written. */
interface ContentsField {
  readonly field: number;
  readonly kind: NumberKind | 'bytes';
}

const INTS: ContentsField = { field: 2, kind: 'int32' };
const UINTS: ContentsField = { field: 4, kind: 'uint32' };

/** Which field holds the values of a datatype. FP16 and BF16 have none: they are sent raw. */
const FIELDS = new Map<string, ContentsField>([
  ['BOOL', { field: 1, kind: 'uint32' }],
  ['INT8', INTS],
  ['INT16', INTS],
  ['INT32', INTS],
  ['INT64', { field: 3, kind: 'int64' }],
  ['UINT8', UINTS],
  ['UINT16', UINTS],
  ['UINT32', UINTS],
  ['UINT64', { field: 5, kind: 'uint64' }],
  ['FP32', { field: 6, kind: 'float' }],
  ['FP64', { field: 7, kind: 'double' }],
  ['BYTES', { field: 8, kind: 'bytes' }],
]);

/** The values in a tensor's InferTensorContents, as JSON would have them: NaN is null. Throws REQUEST_INVALID. */
export function contentsData(name: string, datatype: string, contents: WireReader | null): TensorData {
  const wanted = FIELDS.get(datatype);
  if (!wanted)
    throw invalid(`input ${quote(name)} has datatype ${quote(datatype)}, which has no contents; send it raw`);
  if (contents === null) return [];
  const strings: string[] = [];
  const numbers: number[] = [];
  while (contents.next()) {
    if (contents.field > 8) contents.skip();
    else if (contents.field !== wanted.field)
      throw invalid(
        `input ${quote(name)} is ${datatype}, which is field ${wanted.field} of contents, not ${contents.field}`,
      );
    else if (wanted.kind === 'bytes') strings.push(contents.string());
    else contents.numbers(wanted.kind, numbers);
  }
  if (wanted.kind === 'bytes') return strings;
  return wanted.kind === 'float' || wanted.kind === 'double' ? withoutNaN(numbers) : numbers;
}

function withoutNaN(numbers: number[]): (number | null)[] {
  const values: (number | null)[] = numbers;
  for (let at = 0; at < numbers.length; at += 1) if (Number.isNaN(numbers[at])) values[at] = null;
  return values;
}

/** The values in one of raw_input_contents. Throws REQUEST_INVALID, and REQUEST_TOO_LARGE for a long string. */
export function rawTensorData(
  name: string,
  datatype: string,
  shape: readonly number[],
  raw: WireReader,
  limits: RequestLimits,
): TensorData {
  let elements = 1;
  for (const size of shape) elements *= size;
  if (!Number.isSafeInteger(elements) || elements < 0)
    throw invalid(`input ${quote(name)} has shape ${quote(JSON.stringify(shape))}`);
  // One value, as most requests have in each tensor, costs less without a typed array of its own.
  if (elements === 1 && datatype === 'FP32' && raw.length === 4) return withoutNaN([raw.float()]);
  return decodeTensor(name, datatype, elements, raw.rest(), limits);
}
