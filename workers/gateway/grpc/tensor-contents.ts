import { decodeTensor } from '../http/binary-tensors';
import type { TensorData } from '../http/tensor-data';
import type { RequestLimits } from '../protocol';
import { invalid, quote } from '../protocol';
import type { NumberKind } from './wire-reader';
import { WireReader } from './wire-reader';

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
export function contentsData(name: string, datatype: string, contents: Buffer): TensorData {
  const wanted = FIELDS.get(datatype);
  if (!wanted)
    throw invalid(`input ${quote(name)} has datatype ${quote(datatype)}, which has no contents; send it raw`);
  const reader = new WireReader(contents);
  const strings: string[] = [];
  const numbers: number[] = [];
  while (reader.next()) {
    if (reader.field > 8) reader.skip();
    else if (reader.field !== wanted.field)
      throw invalid(
        `input ${quote(name)} is ${datatype}, which is field ${wanted.field} of contents, not ${reader.field}`,
      );
    else if (wanted.kind === 'bytes') strings.push(reader.string());
    else reader.numbers(wanted.kind, numbers);
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
  raw: Buffer,
  limits: RequestLimits,
): TensorData {
  let elements = 1;
  for (const size of shape) elements *= size;
  if (!Number.isSafeInteger(elements) || elements < 0)
    throw invalid(`input ${quote(name)} has shape ${quote(JSON.stringify(shape))}`);
  return decodeTensor(name, datatype, elements, raw, limits);
}
