import { offeredMap } from '../../workflows/domain/calibration';
import type { InputSignature, ReleaseManifest } from '../../workflows/domain/release';
import { CALIBRATED_OUTPUT } from './inference/calibrated-output';
import type { LoadedRelease, ServedModel } from './routes/served-model';

/** Names of V2 extensions as Triton's clients know them. */
export const SERVER_METADATA = {
  name: 'slipway',
  version: '2',
  extensions: ['binary_tensor_data', 'model_repository'],
} as const;

/** As it is told to who asks for it, with how callers are known. */
export function serverMetadata(isOpen: boolean): object {
  return { ...SERVER_METADATA, parameters: { authentication: isOpen ? 'none' : 'required' } };
}

export interface TensorMetadata {
  readonly name: string;
  readonly datatype: string;
  /** -1 is any size. */
  readonly shape: readonly number[];
  readonly parameters?: object;
}

export interface ModelMetadata {
  readonly name: string;
  readonly versions: readonly string[];
  readonly platform: string;
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
  readonly parameters: object;
}

export interface IndexRow {
  readonly name: string;
  readonly version: string;
  readonly state: string;
  readonly reason: string;
}

/** V2 model metadata of one release, the champion where none is named, with what the declared features add to it under `parameters`. */
export function modelMetadata(served: ServedModel, release: LoadedRelease = served.champion): ModelMetadata {
  const { champion, challenger, route } = served;
  const { signature } = release.manifest;
  return {
    name: route.model,
    versions: [champion, ...(challenger ? [challenger] : [])].map((release) => String(release.ref.version)),
    platform: release.endpoint ? 'external_endpoint' : 'onnx_onnxruntime',
    inputs: signature.inputs.map(inputMetadata),
    outputs: [
      { name: signature.output.name, datatype: signature.output.datatype, shape: [-1, 1] },
      ...calibrationMetadata(release.manifest),
      ...explanationMetadata(release.manifest),
    ],
    parameters: {
      generation: route.generation,
      task: signature.task,
      clock: route.clock,
      release: release.ref.digest,
    },
  };
}

function inputMetadata({
  name,
  datatype,
  type,
  unit,
  range,
  values,
  nullable,
  onInvalid,
}: InputSignature): TensorMetadata {
  return { name, datatype, shape: [-1, 1], parameters: { type, unit, range, values, nullable, onInvalid } };
}

/** Listed where callers can have it: it costs so little that who asks for all that is may ask for it too. */
function calibrationMetadata(manifest: ReleaseManifest): TensorMetadata[] {
  const map = offeredMap(manifest);
  if (map === null) return [];
  const parameters = { method: map.method, when: manifest.serving.calibration ?? 'request' };
  return [{ name: CALIBRATED_OUTPUT, datatype: 'FP32', shape: [-1, 1], parameters }];
}

/** Of an explained answer. Where they are given on request only they are not listed: there are clients that ask for all that is. */
function explanationMetadata({ serving, signature }: ReleaseManifest): TensorMetadata[] {
  const { when, reasons } = serving.explain;
  if (when !== 'always') return [];
  const features = signature.inputs.length;
  const parameters = { unit: signature.task === 'binary' ? 'log-odds' : 'label', when };
  return [
    { name: 'explanation', datatype: 'FP32', shape: [-1, features], parameters },
    { name: 'explanation_error', datatype: 'FP32', shape: [-1, features], parameters },
    { name: 'explanation_base', datatype: 'FP32', shape: [-1, 1], parameters },
    { name: 'reasons', datatype: 'BYTES', shape: [-1, Math.min(reasons, features)], parameters: { when } },
  ];
}

/** One row of the repository index. */
export function indexRow(served: ServedModel): IndexRow {
  const refusal = served.champion.endpoint?.refusal;
  const [state, reason] = refusal ? ['UNAVAILABLE', `${refusal.code}: ${refusal.message}`] : ['READY', ''];
  return { name: served.route.model, version: String(served.champion.ref.version), state, reason };
}
