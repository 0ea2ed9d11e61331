import { z } from 'zod';
import type { BlobStore } from '../infra/object-store/port';
import { SlipwayError } from '../workflows/domain/errors';
import type { Signature } from '../workflows/domain/release';
import type { ImportedModel } from '../workflows/domain/run';
import { signatureOf } from '../workflows/domain/signature';
import { DATE_PARTS, type ModelSpec } from '../workflows/domain/spec';

export interface ImportInput {
  readonly onnx: Uint8Array;
  readonly spec: ModelSpec;
  /** JSON of a `Signature`; default: what the spec's features declare. */
  readonly signature?: unknown;
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

/**
 * Puts a model from elsewhere and its ABI into the store, for `startRun({ imported })`. The bytes are opened by a worker only,
 * in a limited child. Throws MODEL_SIGNATURE that names what is wrong in the ABI.
 */
export async function importModel(blobs: BlobStore, input: ImportInput): Promise<ImportedModel> {
  const signature = input.signature === undefined ? signatureOf(input.spec) : readSignature(input.signature);
  return { onnx: await blobs.put(input.onnx), signature: await blobs.putJson(signature) };
}

function readSignature(value: unknown): Signature {
  const parsed = signatureSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'the file'}: ${issue.message}`);
  throw new SlipwayError('MODEL_SIGNATURE', `signature: ${problems.join('; ')}`);
}
