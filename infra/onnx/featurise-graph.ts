import type { TensorType } from '../../workflows/domain/release';
import { PART_SIZES, addDatePart } from './date-parts';
import { MISSING_INT64 } from './feature-table';
import { ELEMENT, GraphBuilder, doubleTensor, int64Tensor } from './graph-builder';
import type { Element } from './graph-builder';
import type { DatePartTransform, FeatureTransform, SlotGroup, TransformPlan } from './transforms';

export const ELEMENT_OF: Readonly<Record<TensorType, Element>> = {
  FP32: 'float',
  INT64: 'int64',
  BYTES: 'string',
  BOOL: 'bool',
};

/** Dense columns [N, D] FP32 and table rows [N, C] INT64. */
export interface Featurised {
  readonly dense: string;
  readonly ids: string;
}

/** How wide `addFeaturise` makes its two outputs; each has at least one column. */
export function featurisedWidths(plan: TransformPlan): {
  readonly dense: number;
  readonly idColumns: number;
  readonly tableRows: number;
} {
  const dense = plan.features.reduce((sum, feature) => sum + denseWidth(feature), 0);
  return {
    dense: Math.max(dense, 1),
    idColumns: Math.max(plan.groups.length, 1),
    tableRows: Math.max(plan.tableRows, 1),
  };
}

function denseWidth(feature: FeatureTransform): number {
  switch (feature.kind) {
    case 'boolean':
      return 1;
    case 'vocabulary':
      return 0;
    case 'scale':
      return feature.indicator ? 2 : 1;
    case 'date':
      return feature.parts.reduce((sum, { harmonics }) => sum + 2 * harmonics, 0) + (feature.indicator ? 1 : 0);
  }
}

/**
 * All transforms as graph nodes, from raw inputs to what the network takes. Training runs this very graph over its rows, and the
 * served graph begins with it: there is no second implementation that could differ (invariant I9).
 */
export function addFeaturise(builder: GraphBuilder, plan: TransformPlan): Featurised {
  for (const { input } of plan.features) builder.input(input.name, ELEMENT_OF[input.datatype], ['N', 1]);
  const dense: string[] = [];
  const ids: string[] = [];
  for (const feature of plan.features) addFeature(builder, feature, dense, ids);
  const first = plan.features[0];
  if (!first) throw new TypeError('a model needs at least one input');
  if (dense.length === 0) dense.push(zeros(builder, first.input.name, 'float'));
  if (ids.length === 0) ids.push(zeros(builder, first.input.name, 'int64'));
  return { dense: builder.op('Concat', dense, { axis: 1 }), ids: builder.op('Concat', ids, { axis: 1 }) };
}

/** The transforms alone, as a model with outputs `dense` and `ids`. */
export function featuriseGraph(plan: TransformPlan): Uint8Array {
  const builder = new GraphBuilder();
  const { dense, ids } = addFeaturise(builder, plan);
  const widths = featurisedWidths(plan);
  builder.output(dense, 'float', ['N', widths.dense], 'dense');
  builder.output(ids, 'int64', ['N', widths.idColumns], 'ids');
  return builder.modelBytes('slipway-featurise');
}

function addFeature(builder: GraphBuilder, feature: FeatureTransform, dense: string[], ids: string[]): void {
  const { name } = feature.input;
  switch (feature.kind) {
    case 'boolean':
      dense.push(toFloat(builder, name));
      return;
    case 'vocabulary':
      ids.push(offsetBy(builder, addLookup(builder, name, feature.words), feature.slots));
      return;
    case 'scale': {
      const missing = feature.input.datatype === 'FP32' ? builder.op('IsNaN', [name]) : isMissing(builder, name);
      dense.push(addScale(builder, feature, missing));
      if (feature.indicator) dense.push(toFloat(builder, missing));
      return;
    }
    case 'date': {
      const missing = isMissing(builder, name);
      const instant = builder.op('Where', [missing, builder.int64s([0], []), name]);
      for (const part of feature.parts) addPart(builder, part, instant, missing, dense, ids);
      if (feature.indicator) dense.push(toFloat(builder, missing));
    }
  }
}

/** Standardised value, 0 (the training mean) where missing. INT64 is scaled in double: a float holds 24 bits of it. */
function addScale(
  builder: GraphBuilder,
  feature: Extract<FeatureTransform, { kind: 'scale' }>,
  missing: string,
): string {
  const { mean, deviation } = feature;
  if (feature.input.datatype === 'FP32') {
    const scaled = builder.op('Div', [
      builder.op('Sub', [feature.input.name, builder.floats([mean], [])]),
      builder.floats([deviation], []),
    ]);
    return builder.op('Where', [missing, builder.floats([0], []), scaled]);
  }
  const double = (value: number): string => builder.constant(doubleTensor([value], []));
  const value = builder.op('Cast', [feature.input.name], { to: ELEMENT.double });
  const scaled = builder.op('Div', [builder.op('Sub', [value, double(mean)]), double(deviation)]);
  return builder.op('Where', [missing, builder.floats([0], []), toFloat(builder, scaled)]);
}

/** 1 + index of a known word, 0 of any other. */
function addLookup(builder: GraphBuilder, value: string, words: readonly string[]): string {
  if (words.length === 0) return zeros(builder, value, 'int64');
  const numbers = words.map((_, index) => index + 1);
  return builder.op(
    'LabelEncoder',
    [value],
    { keys_strings: words, values_int64s: numbers, default_int64: 0 },
    'ai.onnx.ml',
  );
}

function addPart(
  builder: GraphBuilder,
  transform: DatePartTransform,
  instant: string,
  missing: string,
  dense: string[],
  ids: string[],
): void {
  const part = addDatePart(builder, instant, transform.part);
  for (let harmonic = 1; harmonic <= transform.harmonics; harmonic += 1) {
    const turn = builder.floats([(2 * Math.PI * harmonic) / PART_SIZES[transform.part]], []);
    const angle = builder.op('Mul', [toFloat(builder, part), turn]);
    for (const wave of ['Sin', 'Cos'])
      dense.push(builder.op('Where', [missing, builder.floats([0], []), builder.op(wave, [angle])]));
  }
  if (!transform.slotOf || !transform.slots) return;
  const slot = builder.op('Gather', [builder.int64s(transform.slotOf), part]);
  ids.push(offsetBy(builder, builder.op('Where', [missing, builder.int64s([0], []), slot]), transform.slots));
}

function offsetBy(builder: GraphBuilder, slot: string, slots: SlotGroup): string {
  return builder.op('Add', [slot, builder.int64s([slots.offset], [])]);
}

function isMissing(builder: GraphBuilder, value: string): string {
  return builder.op('Equal', [value, builder.int64s([MISSING_INT64], [])]);
}

function toFloat(builder: GraphBuilder, value: string): string {
  return builder.op('Cast', [value], { to: ELEMENT.float });
}

function zeros(builder: GraphBuilder, like: string, element: 'float' | 'int64'): string {
  const value =
    element === 'int64' ? int64Tensor([0], [1]) : { dims: [1], dataType: ELEMENT.float, rawData: new Uint8Array(4) };
  return builder.op('ConstantOfShape', [builder.op('Shape', [like])], { value });
}
