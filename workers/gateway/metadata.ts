import type { InputSignature } from '../../workflows/domain/release';
import type { ServedModel } from './served-model';

export const SERVER_METADATA = { name: 'slipway', version: '2', extensions: [] } as const;

/** V2 model metadata of the champion, with what the declared features add to it under `parameters`. */
export function modelMetadata(served: ServedModel): object {
  const { champion, challenger, route } = served;
  const { signature } = champion.manifest;
  return {
    name: route.model,
    versions: [champion, ...(challenger ? [challenger] : [])].map((release) => String(release.ref.version)),
    platform: 'onnx_onnxruntime',
    inputs: signature.inputs.map(inputMetadata),
    outputs: [{ name: signature.output.name, datatype: signature.output.datatype, shape: [-1, 1] }],
    parameters: {
      generation: route.generation,
      task: signature.task,
      clock: route.clock,
      release: champion.ref.digest,
    },
  };
}

function inputMetadata({ name, datatype, type, unit, range, values, nullable, onInvalid }: InputSignature): object {
  return { name, datatype, shape: [-1, 1], parameters: { type, unit, range, values, nullable, onInvalid } };
}

/** One row of the repository index. */
export function indexRow(served: ServedModel): object {
  return { name: served.route.model, version: String(served.champion.ref.version), state: 'READY', reason: '' };
}
