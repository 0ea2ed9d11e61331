import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { type EndpointDescriptor, parseEndpoint } from '../infra/endpoints/descriptor';
import { checkEndpointFits } from '../infra/endpoints/fit';
import { canonicalBytes } from '../infra/object-store/digest';
import { adaptModel } from '../infra/onnx/adapt-model';
import { inspectModel } from '../infra/onnx/inspect-model';
import type { BlobStore } from '../infra/object-store/port';
import { formatOf } from '../infra/spec/resolve';
import { SlipwayError } from '../workflows/domain/errors';
import type { Signature } from '../workflows/domain/release';
import type { HoldoutSource, ImportedModel } from '../workflows/domain/run';
import { signatureOf } from '../workflows/domain/signature';
import { DATE_PARTS, type ModelSpec } from '../workflows/domain/spec';

export interface ImportInput {
  /** Absent: an ONNX graph. `endpoint`: the bytes are the descriptor of a server that exists. */
  readonly kind?: 'endpoint';
  readonly onnx: Uint8Array;
  readonly spec: ModelSpec;
  /** JSON of a `Signature`; default: what the spec's features declare. */
  readonly signature?: unknown;
  /** Path or glob of rows that the model never saw, in place of the spec's data; workers must reach it. */
  readonly holdout?: string;
}

const signatureSchema = z.strictObject({
  task: z.enum(['binary', 'regression']),
  inputs: z.array(
    z.strictObject({
      name: z.string().min(1),
      type: z.enum(['number', 'integer', 'category', 'boolean', 'timestamp']),
      datatype: z.enum(['FP32', 'INT64', 'BYTES', 'BOOL']),
      unit: z.string(),
      range: z.tuple([z.number(), z.number()]).nullable(),
      values: z.array(z.string()).nullable(),
      nullable: z.boolean(),
      parts: z.array(z.enum(DATE_PARTS)),
      onInvalid: z.enum(['reject', 'impute', 'flag']),
    }),
  ),
  output: z.strictObject({ name: z.string().min(1), datatype: z.literal('FP32') }),
});

export interface PreparedImport extends Required<Omit<ImportInput, 'holdout' | 'kind'>> {
  readonly kind?: 'endpoint';
  /** What was put around the graph, for people; empty where it fits as it is. */
  readonly changes: readonly string[];
}

export interface PrepareOptions {
  /** JSON of a `Signature`; default: what the spec's features declare. */
  readonly signature?: unknown;
  /** Features in the order in which the model takes them; default: all of the spec (or the signature), in its order. */
  readonly features?: readonly string[] | null;
}

/**
 * Opens a model file in a limited child and makes it servable: an export with one matrix of features, or with a label beside the
 * probabilities, is wrapped (`adaptModel`). Throws MODEL_UNREADABLE, or MODEL_SIGNATURE with what to change.
 */
export async function prepareImport(path: string, spec: ModelSpec, options: PrepareOptions): Promise<PreparedImport> {
  const declared = options.signature === undefined ? signatureOf(spec) : readSignature(options.signature);
  const signature = options.features ? { ...declared, inputs: chooseInputs(declared, options.features) } : declared;
  const folder = await mkdtemp(join(tmpdir(), 'slipway-import-'));
  try {
    const model = await adaptModel(path, await inspectModel(path), signature, folder);
    return { onnx: await readFile(model.path), spec, signature, changes: model.changes };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Reads an endpoint.yaml as what is imported. The server is asked by a worker. Throws NOT_FOUND, SPEC_INVALID and MODEL_SIGNATURE. */
export async function prepareEndpoint(
  path: string,
  spec: ModelSpec,
  options: Pick<PrepareOptions, 'signature'> = {},
): Promise<PreparedImport> {
  const descriptor = await readEndpointFile(path);
  const signature = options.signature === undefined ? signatureOf(spec) : readSignature(options.signature);
  checkEndpointFits(descriptor, signature, spec.serving);
  return { kind: 'endpoint', onnx: canonicalBytes(descriptor), spec, signature, changes: [] };
}

/** Throws NOT_FOUND and SPEC_INVALID. */
export async function readEndpointFile(path: string): Promise<EndpointDescriptor> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new SlipwayError('NOT_FOUND', `${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  return parseEndpoint(text, path);
}

function chooseInputs({ inputs }: Signature, names: readonly string[]): Signature['inputs'] {
  return names.map((name) => {
    const input = inputs.find((candidate) => candidate.name === name);
    if (input) return input;
    const known = inputs.map((candidate) => candidate.name).join(', ');
    throw new SlipwayError('MODEL_SIGNATURE', `${name} is no feature of the spec; it has ${known}`);
  });
}

/**
 * Puts a model from elsewhere and its ABI into the store, for `startRun({ imported })`. The bytes are opened by a worker only,
 * in a limited child. Throws MODEL_SIGNATURE that names what is wrong in the ABI.
 */
export async function importModel(blobs: BlobStore, input: ImportInput): Promise<ImportedModel> {
  const signature = input.signature === undefined ? signatureOf(input.spec) : readSignature(input.signature);
  const holdout = input.holdout === undefined ? {} : { holdout: holdoutSource(input.holdout) };
  const kind = input.kind ? { kind: input.kind } : {};
  return { ...kind, onnx: await blobs.put(input.onnx), signature: await blobs.putJson(signature), ...holdout };
}

function holdoutSource(path: string): HoldoutSource {
  const format = formatOf(path);
  if (format) return { source: resolve(path), format };
  throw new SlipwayError('USAGE', `the holdout ${path} must end in .parquet or .csv`);
}

function readSignature(value: unknown): Signature {
  const parsed = signatureSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'the file'}: ${issue.message}`);
  throw new SlipwayError('MODEL_SIGNATURE', `signature: ${problems.join('; ')}`);
}
