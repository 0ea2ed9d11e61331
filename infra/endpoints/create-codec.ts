import type { Signature } from '../../workflows/domain/release';
import type { EndpointCodec } from './codec';
import type { EndpointDescriptor } from './descriptor';
import { createJsonCodec } from './json-codec';
import { createV2Codec } from './v2-codec';

/** The words of one release's server. Throws MODEL_SIGNATURE where the descriptor cannot carry these inputs. */
export function createCodec(descriptor: EndpointDescriptor, { inputs }: Pick<Signature, 'inputs'>): EndpointCodec {
  return descriptor.protocol === 'v2' ? createV2Codec(descriptor, inputs) : createJsonCodec(descriptor, inputs);
}
