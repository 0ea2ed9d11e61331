import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { isErrorCode, SlipwayError } from '../workflows/domain/errors';
import type { ModelName } from '../workflows/domain/names';

/** One row by feature name, as a caller has it. */
export type PredictRow = Readonly<Record<string, string | number | boolean | null>>;

export interface PredictOptions {
  /** `http://host:port` of a gateway. */
  readonly gateway: string;
  readonly rows: readonly PredictRow[];
  /** Names the request; predictions and labels join by it. Default: a new UUID. */
  readonly id?: string;
  /** V2 parameters, such as `event_time` (epoch ms) or `assignment_key`. */
  readonly parameters?: Readonly<Record<string, string | number | boolean>>;
}

export interface Prediction {
  readonly id: string;
  readonly scores: readonly number[];
  /** P(label = 1) by the release's signed map, where the request asked for it, or every answer has it. */
  readonly calibrated?: readonly number[];
  readonly version: string;
  /** Empty where the gateway does not say. */
  readonly arm: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

const metadataSchema = z.looseObject({ inputs: z.array(z.looseObject({ name: z.string(), datatype: z.string() })) });
type Metadata = z.infer<typeof metadataSchema>;
const answerSchema = z.looseObject({
  id: z.string().optional(),
  model_version: z.string().default(''),
  parameters: z.looseObject({ arm: z.string().optional() }).default({}),
  outputs: z.array(z.looseObject({ name: z.string(), data: z.array(z.unknown()) })).min(1),
});
const numbers = z.array(z.number());
const errorSchema = z.looseObject({ code: z.string().default(''), error: z.string().default('no reason given') });

const TIMEOUT_MS = 10_000;

/** Scores rows by Open Inference Protocol V2, with the datatypes of the model's metadata. Throws the gateway's own codes. */
export async function predict(model: ModelName, options: PredictOptions): Promise<Prediction> {
  return (await openPredictor(model, options.gateway))(options);
}

/** The same for many calls: the metadata is asked for once. */
export async function openPredictor(
  model: ModelName,
  gateway: string,
): Promise<(request: Omit<PredictOptions, 'gateway'>) => Promise<Prediction>> {
  const url = `${gateway}/v2/models/${model}`;
  const metadata = metadataSchema.parse(await call(url));
  return (request) => infer(url, metadata, request);
}

async function infer(
  url: string,
  metadata: Metadata,
  { rows, id = randomUUID(), parameters }: Omit<PredictOptions, 'gateway'>,
): Promise<Prediction> {
  checkNames(rows, metadata);
  const inputs = metadata.inputs.map(({ name, datatype }) => ({
    name,
    datatype,
    shape: [rows.length, 1],
    data: rows.map((row) => row[name] ?? null),
  }));
  const answer = answerSchema.parse(await call(`${url}/infer`, { id, ...(parameters ? { parameters } : {}), inputs }));
  const calibrated = answer.outputs.find(({ name }) => name === 'calibrated');
  return {
    id: answer.id ?? id,
    scores: numbers.parse(answer.outputs[0]!.data),
    ...(calibrated ? { calibrated: numbers.parse(calibrated.data) } : {}),
    version: answer.model_version,
    arm: answer.parameters.arm ?? '',
    parameters: answer.parameters,
  };
}

/** A misspelt feature would otherwise be a missing one, without a word. */
function checkNames(rows: readonly PredictRow[], metadata: Metadata): void {
  const known = metadata.inputs.map((input) => input.name);
  const unknown = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((name) => !known.includes(name));
  if (unknown.length > 0)
    throw new SlipwayError(
      'REQUEST_INVALID',
      `the model has no input ${unknown.join(', ')}; it has ${known.join(', ')}`,
    );
}

async function call(url: string, body?: unknown): Promise<unknown> {
  const request =
    body === undefined
      ? {}
      : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  let response: Response;
  try {
    response = await fetch(url, { ...request, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (error) {
    const why = error instanceof Error && error.name === 'TimeoutError' ? ` within ${TIMEOUT_MS / 1000} s` : '';
    throw new SlipwayError('GATEWAY_UNAVAILABLE', `no gateway answers at ${url}${why}`, { cause: error });
  }
  const answer: unknown = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const { code, error } = errorSchema.parse(answer);
  throw new SlipwayError(isErrorCode(code) ? code : 'INFERENCE_FAILED', error);
}
