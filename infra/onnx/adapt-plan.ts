import { SlipwayError } from '../../workflows/domain/errors';
import type { InputSignature, Signature } from '../../workflows/domain/release';
import { isColumn, type ModelInspection, shapeText } from './inspect-model';
import type { ModelValue } from './model-file';

/** How the score is taken out of an output: as it is, out of a vector [rows], or as the second of two class probabilities. */
export type Pick = 'column' | 'vector' | 'second';

export interface Answer {
  readonly name: string;
  readonly datatype: string;
  readonly pick: Pick;
}

/** What stands between a graph and a signature. */
export interface Adaptation {
  /** The one input [rows, k] that is made of the signature's inputs in their order; null where each feature has its own input. */
  readonly matrix: ModelValue | null;
  readonly answer: Answer;
}

/** Types that callers do not send, and the ones that take their place without loss of what a caller has. */
const SENT_AS: Readonly<Record<string, string>> = { FP64: 'FP32', INT32: 'INT64' };

/** Datatype of the ABI in which callers send what a per-feature input takes. */
export function sentAs(datatype: string): string {
  return SENT_AS[datatype] ?? datatype;
}

/** The one numeric input that takes all features side by side, as scikit-learn, LightGBM and XGBoost export it; null for a graph that names its features. */
export function matrixInput(
  inspection: { readonly inputs: readonly ModelValue[] },
  names: readonly string[],
): ModelValue | null {
  const [only, ...more] = inspection.inputs;
  if (!only || more.length > 0 || only.shape.length !== 2 || only.datatype === 'BYTES') return null;
  return isColumn(only.shape) && only.shape[1] === 1 && names.includes(only.name) ? null : only;
}

/**
 * What has to be put around a graph so that it has the signature's inputs and output; null where it has them. Throws MODEL_SIGNATURE
 * with what to change in the export or in the list of features, where nothing without loss can be put around it.
 */
export function planAdaptation(inspection: ModelInspection, signature: Signature): Adaptation | null {
  const names = signature.inputs.map(({ name }) => name);
  const matrix = matrixInput(inspection, names);
  if (matrix) checkMatrix(matrix, signature.inputs);
  else checkInputs(inspection.inputs, signature.inputs);
  const answer = findAnswer(inspection);
  return matrix === null && isServed(inspection, signature, answer) ? null : { matrix, answer };
}

function isServed(inspection: ModelInspection, signature: Signature, answer: Answer): boolean {
  const types = new Map(inspection.inputs.map(({ name, datatype }) => [name, datatype]));
  const { name, datatype, pick } = answer;
  return (
    inspection.outputs.length === 1 &&
    signature.inputs.every((input) => types.get(input.name) === input.datatype) &&
    name === signature.output.name &&
    datatype === 'FP32' &&
    pick === 'column'
  );
}

/** What a matrix of each type can be made of; a missing integer becomes NaN only where the matrix can hold one. */
const MATRIX_OF: Readonly<Record<string, readonly InputSignature['type'][]>> = {
  FP32: ['number', 'integer', 'boolean'],
  FP64: ['number', 'integer', 'boolean'],
  INT64: ['integer', 'boolean'],
};

function checkMatrix(matrix: ModelValue, inputs: readonly InputSignature[]): void {
  const [rows, width] = matrix.shape;
  const takes = `the model takes a matrix ${shapeText(matrix.shape)} of ${matrix.datatype} as ${matrix.name}`;
  if (rows !== null) throw refused(`${takes}, so always ${rows} rows at once; export it with a free first dimension`);
  const types = MATRIX_OF[matrix.datatype];
  if (!types) throw refused(`${takes}; export it with FP32`);
  if (width !== null && width !== inputs.length)
    throw refused(
      `${takes}, and there are ${inputs.length} features (${listed(inputs.map(({ name }) => name))}); name the ${width} in the order that it was trained with: --features <a,b,…>`,
    );
  const other = inputs.filter(({ type }) => !types.includes(type));
  if (other.length > 0)
    throw refused(
      `${takes}, which ${other.map(({ name, type }) => `${name} (${type})`).join(', ')} cannot be put into; export the encoding inside the graph, with one input for each column`,
    );
}

function checkInputs(found: readonly ModelValue[], inputs: readonly InputSignature[]): void {
  const byName = new Map(found.map((value) => [value.name, value]));
  const wanted = new Set(inputs.map(({ name }) => name));
  const problems = [
    ...found
      .filter(({ name }) => !wanted.has(name))
      .map(({ name }) => `the graph takes ${name}, which the signature lacks`),
    ...inputs.flatMap(({ name, datatype }) => {
      const value = byName.get(name);
      if (!value) return [`the graph lacks the input ${name}`];
      if (sentAs(value.datatype) !== datatype)
        return [`input ${name} is ${value.datatype}, the signature says ${datatype}`];
      return isColumn(value.shape) ? [] : [`input ${name} has the shape ${shapeText(value.shape)}, not [rows, 1]`];
    }),
  ];
  if (problems.length > 0) throw refused(problems.join('; '));
}

const FLOATS = ['FP32', 'FP64'];

/** The output that holds the score. Labels (integers, texts) are no scores and are left out; probabilities go before other numbers. */
function findAnswer(inspection: ModelInspection): Answer {
  const floats = inspection.outputs.filter(({ datatype }) => FLOATS.includes(datatype));
  const likely = floats.length > 1 ? floats.filter(({ name }) => /prob/i.test(name)) : floats;
  const [output, ...more] = likely;
  const all = inspection.outputs.map(({ name, datatype }) => `${name} (${datatype})`).join(', ');
  if (!output && floats.length === 0)
    throw refused(`the model gives ${all} and no score; export it with its probabilities, not only the label`);
  if (!output || more.length > 0)
    throw refused(`the model gives ${all}, and none of them is clearly the score; export it with one output`);
  const shape = inspection.probeShapes[output.name] ?? [];
  const pick = pickOf(shape);
  if (!pick)
    throw refused(
      `output ${output.name} has the shape ${shapeText(shape)} for 2 rows; expected [2, 1], [2] or the probabilities of two classes [2, 2]`,
    );
  return { name: output.name, datatype: output.datatype, pick };
}

/** By the shape that two rows gave. */
function pickOf(shape: readonly number[]): Pick | null {
  if (shape[0] !== 2 || shape.length > 2) return null;
  if (shape.length === 1) return 'vector';
  return shape[1] === 1 ? 'column' : shape[1] === 2 ? 'second' : null;
}

function listed(names: readonly string[]): string {
  return names.length > 12 ? `${names.slice(0, 12).join(', ')}, …` : names.join(', ');
}

function refused(why: string): SlipwayError {
  return new SlipwayError('MODEL_SIGNATURE', why);
}
