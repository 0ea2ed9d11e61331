import type { Signature } from '../../workflows/domain/release';
import { addFeaturise } from './featurise-graph';
import { GraphBuilder } from './graph-builder';
import { addForward, segmentsOf } from './network';
import type { NetworkShape } from './network';
import type { SlotGroup, TransformPlan } from './transforms';

/** Mean and deviation that the target was standardised by; 0 and 1 for `binary`. */
export interface TargetScale {
  readonly mean: number;
  readonly deviation: number;
}

export interface FittedModel {
  readonly signature: Signature;
  readonly plan: TransformPlan;
  readonly shape: NetworkShape;
  readonly theta: Float32Array;
  readonly target: TargetScale;
}

/** The model as it is served: raw inputs [N, 1] by feature name to FP32 [N, 1], with every transform inside. */
export function servedGraph(model: FittedModel): Uint8Array {
  const builder = new GraphBuilder();
  const { dense, ids } = addFeaturise(builder, model.plan);
  const parameters: Record<string, string> = {};
  let offset = 0;
  for (const { name, dims, size } of segmentsOf(model.shape)) {
    parameters[name] = builder.floats(model.theta.subarray(offset, offset + size), dims);
    offset += size;
  }
  const { z } = addForward(builder, model.shape, parameters, dense, ids);
  const output = model.shape.task === 'binary' ? builder.op('Sigmoid', [z]) : addUnscale(builder, z, model.target);
  builder.output(output, 'float', ['N', 1], model.signature.output.name);
  return builder.modelBytes('slipway-model');
}

function addUnscale(builder: GraphBuilder, z: string, target: TargetScale): string {
  return builder.op('Add', [
    builder.op('Mul', [z, builder.floats([target.deviation], [])]),
    builder.floats([target.mean], []),
  ]);
}

/**
 * Parameters in which the "unknown" slot of each group that training never met stands for the average category: the mean of the
 * group's other slots, weighted by their rows. Its initial value would be noise that nothing ever corrected.
 */
export function withUnseenSlots(shape: NetworkShape, groups: readonly SlotGroup[], theta: Float32Array): Float32Array {
  const completed = theta.slice();
  let offset = 0;
  for (const { name, dims, size } of segmentsOf(shape)) {
    if (name === 'slots' || name === 'embeddings') {
      const table = completed.subarray(offset, offset + size);
      for (const group of groups) if (group.counts[0] === 0) fillFirstSlot(table, dims[1]!, group);
    }
    offset += size;
  }
  return completed;
}

function fillFirstSlot(table: Float32Array, width: number, group: SlotGroup): void {
  const rows = group.counts.reduce((sum, count) => sum + count, 0);
  for (let column = 0; column < width; column += 1) {
    let sum = 0;
    for (const [slot, count] of group.counts.entries())
      sum += slot === 0 ? 0 : count * table[(group.offset + slot) * width + column]!;
    table[group.offset * width + column] = rows > 0 ? sum / rows : 0;
  }
}
