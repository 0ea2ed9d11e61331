import type { Bindings } from '../../infra/endpoints/bindings';
import { readEndpoint } from '../../infra/endpoints/descriptor';
import { EndpointClient } from '../../infra/endpoints/endpoint-client';
import { checkEndpointFits, checkRemoteMetadata } from '../../infra/endpoints/fit';
import type { Signature } from '../../workflows/domain/release';
import type { ModelSpec } from '../../workflows/domain/spec';

/**
 * Holds a descriptor against the features and, for V2, against what the server says of its model. Gives how the run names what it
 * opened. Throws MODEL_UNREADABLE, MODEL_SIGNATURE, SPEC_INVALID and ENDPOINT_*.
 */
export async function openEndpoint(
  bindings: Bindings,
  bytes: Uint8Array,
  signature: Signature,
  spec: ModelSpec,
): Promise<string> {
  const descriptor = readEndpoint(bytes);
  checkEndpointFits(descriptor, signature, spec.serving);
  const client = new EndpointClient(descriptor, signature, bindings);
  bindings.find(descriptor.endpoint);
  await checkRemoteMetadata(client);
  const { endpoint, protocol, declaredImage } = descriptor;
  return `external endpoint ${endpoint} (${protocol})${declaredImage === undefined ? '' : `, said to be ${declaredImage}`}`;
}
