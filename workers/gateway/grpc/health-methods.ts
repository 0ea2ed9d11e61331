import { SlipwayError } from '../../../workflows/domain/errors';
import type { Models } from '../models';
import type { Method } from './inference-methods';
import { plain } from './inference-methods';
import { decodeModel, encodeHealth } from './plain-messages';

/** gRPC's health checking protocol (health.proto): of the gateway, of its inference service, or of a model by name. */
export function healthMethods(models: Models, inferenceService: string): Readonly<Record<string, Method>> {
  return {
    Check: plain((request) => {
      const { name } = decodeModel(request);
      if (name === '' || name === inferenceService) return encodeHealth(models.isReady());
      // Nobody says who they are here, so that probes can ask; of models it would tell too much.
      if (models.admission?.isOpen === false)
        throw new SlipwayError('FORBIDDEN', 'ask ModelReady of the inference service, with an API key or a token');
      if (models.served(name)) return encodeHealth(models.isReady());
      if (models.notReady(name) !== null) return encodeHealth(false);
      throw new SlipwayError('NOT_FOUND', `there is no service or model ${JSON.stringify(name.slice(0, 100))} here`);
    }),
  };
}
