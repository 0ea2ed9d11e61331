import type { Answer } from '../inference/answer';
import type { Problem } from '../inference/problem';
import { explanationsByRow, isExplanation } from '../explain/explanation-outputs';
import { CALIBRATED_OUTPUT } from '../inference/calibrated-output';
import type { OutputTensor } from '../inference/output-tensor';
import type { LoadedRelease } from '../routes/served-model';

/** The parts of an answer that only depend on release, arm and generation. */
interface Heads {
  /** V2, to where the number of rows comes. */
  readonly v2: string;
  /** V1, all but predictions and id. */
  readonly v1: string;
}

const known = new WeakMap<LoadedRelease, Map<string, Heads>>();

/** The V2 answer to an inference. */
export function encodeAnswer({ release, arm, generation, requestId, scores, outputs }: Answer): string {
  const more = outputs.length === 0 ? '' : encodeOutputs(outputs, scores.length);
  return `${answerHead(release, arm, generation)}${scores.length},1],"data":[${listScores(scores)}]}${more}],"id":${JSON.stringify(requestId)}}`;
}

/** Further outputs, each with a comma before it. */
function encodeOutputs(outputs: readonly OutputTensor[], rows: number): string {
  return outputs
    .map(({ name, datatype, width, data }) => {
      const values = datatype === 'FP32' ? [...data] : data;
      return `,${JSON.stringify({ name, datatype, shape: [rows, width], data: values })}`;
    })
    .join('');
}

/** The V1 answer: `predictions`, and what V2 says beside its outputs. */
export function encodePredictions({ release, arm, generation, requestId, scores, outputs }: Answer): string {
  const more = outputs.length === 0 ? '' : encodeBeside(outputs, release, scores.length);
  return `{"predictions":[${listScores(scores)}],${more}"id":${JSON.stringify(requestId)},${headsOf(release, arm, generation).v1}`;
}

/** What V1 says beside predictions, each member with a comma behind it. */
function encodeBeside(outputs: readonly OutputTensor[], { manifest }: LoadedRelease, rows: number): string {
  const calibrated = outputs.find(({ name }) => name === CALIBRATED_OUTPUT);
  const isExplained = outputs.some(({ name }) => isExplanation(name));
  const explanations = isExplained ? explanationsByRow(outputs, manifest.signature.inputs, rows) : null;
  return (
    (calibrated ? `"calibrated":${JSON.stringify([...calibrated.data])},` : '') +
    (explanations ? `"explanations":${JSON.stringify(explanations)},` : '')
  );
}

/** Everything before the number of rows of the one output. */
export function answerHead(release: LoadedRelease, arm: string, generation: number): string {
  return headsOf(release, arm, generation).v2;
}

function listScores(scores: Float32Array): string {
  let data = String(scores[0]!);
  for (let row = 1; row < scores.length; row += 1) data += `,${scores[row]!}`;
  return data;
}

function headsOf(release: LoadedRelease, arm: string, generation: number): Heads {
  let ofRelease = known.get(release);
  if (!ofRelease) known.set(release, (ofRelease = new Map<string, Heads>()));
  const name = `${arm} ${generation}`;
  let heads = ofRelease.get(name);
  if (heads === undefined) {
    heads = makeHeads(release, arm, generation);
    // A release sees many generations; only the newest answers.
    if (ofRelease.size > 8) ofRelease.clear();
    ofRelease.set(name, heads);
  }
  return heads;
}

function makeHeads({ ref, manifest }: LoadedRelease, arm: string, generation: number): Heads {
  const model_version = String(ref.version);
  const parameters = { generation, arm, release: ref.digest };
  const output = JSON.stringify(manifest.signature.output.name);
  return {
    v2: `${JSON.stringify({ model_name: ref.model, model_version, parameters }).slice(0, -1)},"outputs":[{"name":${output},"datatype":"FP32","shape":[`,
    v1: JSON.stringify({ model_version, parameters }).slice(1),
  };
}

/** The V2 error object: `{error, code, advice}`. */
export function encodeProblem({ message, code, advice }: Problem): string {
  return JSON.stringify({ error: message, code, advice });
}
