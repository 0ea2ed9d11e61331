import { SlipwayError } from '../../workflows/domain/errors';
import type { ModelName } from '../../workflows/domain/names';
import type { SlipwayClient } from '../slipway-client';

/** Id of the model's newest run. Throws NOT_FOUND. */
export async function newestRunOf(client: SlipwayClient, model: ModelName): Promise<string> {
  const newest = (await client.listRuns(model))[0];
  if (!newest) throw new SlipwayError('NOT_FOUND', `model ${model} has no run in workspace ${client.config.workspace}`);
  return newest.request.run;
}
