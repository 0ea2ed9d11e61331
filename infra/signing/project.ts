import { SlipwayError } from '../../workflows/domain/errors';
import { parseModelName, type ModelName } from '../../workflows/domain/names';

/** The project that roles are granted on. Throws MODEL_UNKNOWN for a text that is no model name. */
export function projectOf(model: ModelName): string {
  const ref = parseModelName(model);
  if (!ref) throw new SlipwayError('MODEL_UNKNOWN', `${JSON.stringify(model)} is no model name: use project/model`);
  return ref.project;
}
