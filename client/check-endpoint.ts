import type { Bindings } from '../infra/endpoints/bindings';
import { valuesOfTable } from '../infra/endpoints/columns';
import { EndpointClient } from '../infra/endpoints/endpoint-client';
import { checkEndpointFits, checkRemoteMetadata } from '../infra/endpoints/fit';
import { type RowValue, tableOfRows } from '../infra/onnx/feature-table';
import { SlipwayError } from '../workflows/domain/errors';
import type { InputSignature } from '../workflows/domain/release';
import { signatureOf } from '../workflows/domain/signature';
import type { ModelSpec } from '../workflows/domain/spec';
import { readEndpointFile } from './imports';

export interface CheckRowInput {
  /** Path of endpoint.yaml. */
  readonly file: string;
  readonly bindings: Bindings;
  readonly spec: ModelSpec;
  /** By feature name; default: one made of what the spec declares. */
  readonly row?: Readonly<Record<string, unknown>>;
}

export interface EndpointCheck {
  readonly endpoint: string;
  readonly origin: string;
  readonly path: string;
  readonly row: Readonly<Record<string, RowValue>>;
  readonly score: number;
  readonly latencyMs: number;
}

/**
 * Sends one row as a gateway would. Throws NOT_FOUND, SPEC_INVALID, MODEL_SIGNATURE, ENDPOINT_*, INPUT_INVALID for a row of other
 * features or types, and MODEL_SIGNATURE where a binary model gives no probability.
 */
export async function checkRow({ file, bindings, spec, row }: CheckRowInput): Promise<EndpointCheck> {
  const descriptor = await readEndpointFile(file);
  const signature = signatureOf(spec);
  checkEndpointFits(descriptor, signature, spec.serving);
  const client = new EndpointClient(descriptor, signature, bindings);
  const { origin } = bindings.find(descriptor.endpoint);
  const sent = row ? readRow(row, signature.inputs) : exampleRow(signature.inputs);
  const columns = valuesOfTable(tableOf(sent, signature.inputs), signature.inputs);
  await checkRemoteMetadata(client);
  const startedMs = performance.now();
  const [score] = await client
    .score(columns, 1, { purpose: 'check' })
    .catch((error: unknown) => tellWhere(error, `POST ${origin}${client.codec.path}`));
  const latencyMs = performance.now() - startedMs;
  if (spec.task === 'binary' && (score! < 0 || score! > 1))
    throw new SlipwayError(
      'MODEL_SIGNATURE',
      `the score ${score} is no probability, and the spec is of a binary task`,
      {
        advice: 'Name another column, or set answer.transform: sigmoid where the server gives log-odds.',
      },
    );
  return { endpoint: descriptor.endpoint, origin, path: client.codec.path, row: sent, score: score!, latencyMs };
}

function tellWhere(error: unknown, where: string): never {
  if (!(error instanceof SlipwayError)) throw error;
  const { advice } = error;
  throw new SlipwayError(error.code, `${where}: ${error.message}`, { cause: error, advice });
}

function readRow(
  row: Readonly<Record<string, unknown>>,
  inputs: readonly InputSignature[],
): Readonly<Record<string, RowValue>> {
  const unknown = Object.keys(row).filter((name) => !inputs.some((input) => input.name === name));
  if (unknown.length > 0) throw new SlipwayError('INPUT_INVALID', `${unknown.join(', ')}: no feature of the spec`);
  return row as Readonly<Record<string, RowValue>>;
}

function tableOf(
  row: Readonly<Record<string, RowValue>>,
  inputs: readonly InputSignature[],
): ReturnType<typeof tableOfRows> {
  try {
    return tableOfRows([row], inputs);
  } catch (error) {
    throw new SlipwayError('INPUT_INVALID', `the row: ${(error as Error).message}`);
  }
}

/** The middle of a range, the first category: what is sent must be allowed, no more. */
function exampleRow(inputs: readonly InputSignature[]): Record<string, RowValue> {
  return Object.fromEntries(inputs.map((input) => [input.name, exampleValue(input)]));
}

function exampleValue({ type, range, values }: InputSignature): RowValue {
  const middle = range ? (range[0] + range[1]) / 2 : 1;
  switch (type) {
    case 'number':
      return middle;
    case 'integer':
      return Math.round(middle);
    case 'timestamp':
      return range ? Math.round(middle) : Date.UTC(2001, 0, 1);
    case 'category':
      return values?.[0] ?? 'a';
    case 'boolean':
      return false;
  }
}
