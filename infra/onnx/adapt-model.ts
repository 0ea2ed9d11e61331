import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Signature } from '../../workflows/domain/release';
import type { AdaptJob } from './adapt-child';
import { planAdaptation } from './adapt-plan';
import {
  checkSignature,
  DEFAULT_MODEL_LIMITS,
  inspectModel,
  type ModelInspection,
  type ModelLimits,
  openInChild,
} from './inspect-model';

export interface ServableModel {
  /** The given file where it fits the signature as it is. */
  readonly path: string;
  /** What was put around it, for people; empty where nothing was. */
  readonly changes: readonly string[];
}

/**
 * Makes a model that was exported with one matrix of features, or with a label beside its probabilities, servable: one input [rows, 1]
 * by feature name, one score. Done on the file, in a limited child, so that serving needs no special case; the result must have
 * answered as the original. `folder` takes what is written. Throws MODEL_UNREADABLE, or MODEL_SIGNATURE with what to change in the export.
 */
export async function adaptModel(
  path: string,
  inspection: ModelInspection,
  signature: Signature,
  folder: string,
  limits: ModelLimits = DEFAULT_MODEL_LIMITS,
): Promise<ServableModel> {
  const adaptation = planAdaptation(inspection, signature);
  if (adaptation === null) return { path, changes: [] };
  const target = join(folder, 'adapted.onnx');
  const jobFile = join(folder, 'adapt.json');
  await writeFile(jobFile, JSON.stringify({ adaptation, signature } satisfies AdaptJob));
  await openInChild('adapt-child', path, [jobFile, target], limits);
  checkSignature(await inspectModel(target, limits), signature);
  return { path: target, changes: describe(adaptation, signature) };
}

const PICKED = {
  column: (name: string) => `output ${name} is the score`,
  vector: (name: string) => `output ${name}, a vector, is the score`,
  second: (name: string) => `the second column of output ${name} is the score, P(label = 1)`,
} as const;

function describe({ matrix, answer }: AdaptJob['adaptation'], signature: Signature): string[] {
  const names = signature.inputs.map(({ name }) => name).join(', ');
  return [
    ...(matrix ? [`matrix ${matrix.name} is made of ${names}, in this order`] : []),
    PICKED[answer.pick](answer.name),
  ];
}
