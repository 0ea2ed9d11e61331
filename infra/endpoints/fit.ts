import { z } from 'zod';
import { SlipwayError } from '../../workflows/domain/errors';
import type { Signature } from '../../workflows/domain/release';
import type { ServingSpec } from '../../workflows/domain/serving';
import { createCodec } from './create-codec';
import type { EndpointDescriptor, V2Descriptor } from './descriptor';
import { parseAnswer } from './answer-shape';
import type { EndpointClient } from './endpoint-client';
import { v2Path } from './v2-codec';

/** What can be known without the server. Throws MODEL_SIGNATURE and SPEC_INVALID. */
export function checkEndpointFits(
  descriptor: EndpointDescriptor,
  signature: Signature,
  { explain }: Pick<ServingSpec, 'explain'>,
): void {
  createCodec(descriptor, signature);
  if (explain.when === 'always')
    throw new SlipwayError('SPEC_INVALID', 'serving.explain.when: always cannot be kept for an external endpoint', {
      advice: 'Answers of a server of somebody else are not explained: set serving.explain.when to request or never.',
    });
}

const metadataSchema = z.object({
  inputs: z.array(z.object({ name: z.string() })).default([]),
  outputs: z.array(z.object({ name: z.string() })).default([]),
});

/**
 * Holds a V2 server's metadata against the descriptor; a plain JSON server has none. Throws MODEL_SIGNATURE for names that it does not
 * have, and what the call throws.
 */
export async function checkRemoteMetadata(client: EndpointClient): Promise<void> {
  const { descriptor, codec } = client;
  if (descriptor.protocol !== 'v2') return;
  const parsed = metadataSchema.safeParse(parseAnswer(await client.get(v2Path(descriptor))));
  if (!parsed.success)
    throw new SlipwayError('ENDPOINT_ANSWER_INVALID', 'expected V2 model metadata; found other JSON');
  const remote = { inputs: namesOf(parsed.data.inputs), outputs: namesOf(parsed.data.outputs) };
  const missing = [
    ...missingFrom(remote.inputs, sentNames(descriptor, codec.inputs), 'input'),
    ...missingFrom(remote.outputs, [descriptor.output], 'output'),
  ];
  if (missing.length > 0) throw new SlipwayError('MODEL_SIGNATURE', missing.join('; '));
}

function sentNames({ form, input }: V2Descriptor, inputs: readonly { readonly name: string }[]): readonly string[] {
  return form === 'matrix' ? [input!] : namesOf(inputs);
}

/** A server that lists nothing says nothing. */
function missingFrom(known: readonly string[], wanted: readonly string[], what: string): string[] {
  if (known.length === 0) return [];
  const listed = known.slice(0, 20).join(', ').slice(0, 500);
  return wanted
    .filter((name) => !known.includes(name))
    .map((name) => `the server's model has no ${what} ${name}; it has ${listed}`);
}

function namesOf(tensors: readonly { readonly name: string }[]): string[] {
  return tensors.map(({ name }) => name);
}
