import type { InputSignature, Signature } from './release';
import { TENSOR_TYPE_OF } from './release';
import type { FeatureSpec, ModelSpec } from './spec';

/** The one output of every served graph. */
export const OUTPUT_NAME = 'score';

/** The model ABI that a spec promises. */
export function signatureOf(spec: Pick<ModelSpec, 'task' | 'features'>): Signature {
  return { task: spec.task, inputs: spec.features.map(inputOf), output: { name: OUTPUT_NAME, datatype: 'FP32' } };
}

function inputOf(feature: FeatureSpec): InputSignature {
  const { name, type, unit, range, values, nullable, parts, onInvalid } = feature;
  return { name, type, datatype: TENSOR_TYPE_OF[type], unit, range, values, nullable, parts, onInvalid };
}

/**
 * What callers of the champion would have to change, or what they would get wrong without knowing, if they were moved to the
 * candidate: one sentence each, empty when they can keep sending what they send. Inputs that are no longer used are no problem.
 */
export function incompatibilities(champion: Signature, candidate: Signature): string[] {
  const known = new Map(champion.inputs.map((input) => [input.name, input]));
  const notes = candidate.inputs.flatMap((input) => {
    const before = known.get(input.name);
    return before ? inputChanges(before, input) : newInput(input);
  });
  return champion.task === candidate.task
    ? notes
    : [`the task changed from ${champion.task} to ${candidate.task}`, ...notes];
}

/** A new input that may be missing is no break: whoever does not send it yet gets the model's own imputation. */
function newInput(input: InputSignature): string[] {
  return input.nullable ? [] : [`${input.name} is a new required input`];
}

function inputChanges(before: InputSignature, after: InputSignature): string[] {
  const notes: string[] = [];
  if (before.type !== after.type) notes.push(`${after.name} changed its type from ${before.type} to ${after.type}`);
  if (before.unit !== after.unit)
    notes.push(`${after.name} changed its unit from ${unitText(before)} to ${unitText(after)}`);
  if (before.unit === after.unit && narrowed(before.range, after.range))
    notes.push(`${after.name} narrowed its range from ${rangeText(before.range)} to ${rangeText(after.range)}`);
  const gone =
    after.values === null
      ? []
      : before.values === null
        ? null
        : before.values.filter((value) => !after.values!.includes(value));
  if (gone === null) notes.push(`${after.name} takes listed categories only, before it took any`);
  else if (gone.length > 0) notes.push(`${after.name} no longer takes ${gone.slice(0, 5).join(', ')}`);
  if (before.nullable && !after.nullable) notes.push(`${after.name} may no longer be missing`);
  return notes;
}

function narrowed(before: InputSignature['range'], after: InputSignature['range']): boolean {
  if (after === null) return false;
  return before === null || after[0] > before[0] || after[1] < before[1];
}

function unitText(input: InputSignature): string {
  return input.unit === '' ? 'none' : input.unit;
}

function rangeText(range: InputSignature['range']): string {
  return range === null ? 'any number' : `[${range[0]}, ${range[1]}]`;
}
