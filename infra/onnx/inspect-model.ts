import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type ErrorCode, SlipwayError } from '../../workflows/domain/errors';
import type { Signature } from '../../workflows/domain/release';
import type { ChildOutcome } from '../process/port';
import { nodeEntry, runChild } from '../process/supervised-child';
import type { ModelFile, ModelValue } from './model-file';

export type { ModelValue } from './model-file';

/** Limits under which a model from outside is opened. */
export interface ModelLimits {
  readonly bytes: number;
  readonly memoryMb: number;
  readonly timeoutMs: number;
  /** Values of one input or output in the probe run. */
  readonly elements: number;
}

export const DEFAULT_MODEL_LIMITS: ModelLimits = {
  bytes: 512 * 1024 * 1024,
  memoryMb: 2_048,
  timeoutMs: 60_000,
  elements: 16_000_000,
};

/** Address space that is reserved, not used, before any model: V8 sets aside 10 GB of guard pages for each WebAssembly memory, and tsx has one. */
const RUNTIME_ADDRESS_SPACE_MB = 12_288;

/** What a model file says of itself, and what it did when it was run once. */
export interface ModelInspection extends ModelFile {
  readonly bytes: number;
  /** Dimensions of each output for two rows. */
  readonly probeShapes: Readonly<Record<string, readonly number[]>>;
  readonly probeMs: number;
  /** By how much opening it and running it once made the process grow: what one more thread with it takes. At least the file's size. */
  readonly memoryBytes: number;
}

/** What an entry that opens a model answers. */
export type ChildReply<T> =
  | { readonly ok: true; readonly answer: T }
  | { readonly ok: false; readonly code?: ErrorCode; readonly message: string };

/**
 * Opens a model that nobody vouches for: parsed, loaded and run once on two rows of zeros in a child under limits, so that a file made to
 * exhaust memory, to loop, or to crash the runtime takes the child with it and nothing else. Throws SlipwayError MODEL_UNREADABLE.
 */
export async function inspectModel(
  path: string,
  limits: ModelLimits = DEFAULT_MODEL_LIMITS,
  signal?: AbortSignal,
): Promise<ModelInspection> {
  return openInChild<ModelInspection>('inspect-child', path, [], limits, signal);
}

/**
 * Runs one of the entries here that open a model, with the largest number of values and `args` behind the path. It answers with one
 * line of JSON. Throws SlipwayError MODEL_UNREADABLE, or the code that the entry answers with.
 */
export async function openInChild<T>(
  entry: string,
  path: string,
  args: readonly string[],
  limits: ModelLimits,
  signal?: AbortSignal,
): Promise<T> {
  const size = await stat(path).then(
    ({ size }) => size,
    () => 0,
  );
  if (size === 0) throw new SlipwayError('MODEL_UNREADABLE', `the model file ${path} is missing or empty`);
  if (size > limits.bytes)
    throw new SlipwayError('MODEL_UNREADABLE', `the model file has ${size} bytes; the limit is ${limits.bytes}`);
  const file = join(__dirname, `${entry}${__filename.endsWith('.ts') ? '.ts' : '.js'}`);
  const outcome = await runChild({
    argv: [...nodeEntry(file), path, String(limits.elements), ...args],
    limits: {
      memoryMb: limits.memoryMb,
      timeoutMs: limits.timeoutMs,
      outputBytes: 4_000_000,
      addressSpaceMb: limits.memoryMb + RUNTIME_ADDRESS_SPACE_MB,
    },
    ...(signal ? { signal } : {}),
  });
  const reply = replyOf<T>(outcome);
  if (!reply.ok) throw new SlipwayError(reply.code ?? 'MODEL_UNREADABLE', reply.message);
  return reply.answer;
}

function replyOf<T>(outcome: ChildOutcome): ChildReply<T> {
  const last = outcome.stdout.trim().split('\n').at(-1) ?? '';
  if (outcome.limit === null && outcome.exitCode === 0 && last.startsWith('{'))
    return JSON.parse(last) as ChildReply<T>;
  const why = outcome.limit
    ? `opening it went past the ${outcome.limit} limit`
    : `opening it ended the process (${outcome.signal ?? `exit ${outcome.exitCode}`})`;
  // What the child wrote is not shown: it may quote the file, whose vocabularies are somebody's data (invariant I10).
  return { ok: false, message: `the model cannot be used: ${why}` };
}

/**
 * Holds a model against its signature: exactly its inputs, each [rows, 1] (or [rows]) of the right type, and the one output FP32
 * [rows, 1]. Throws SlipwayError MODEL_SIGNATURE that lists every difference.
 */
export function checkSignature(inspection: ModelInspection, signature: Signature): void {
  const problems = [...inputProblems(inspection.inputs, signature), ...outputProblems(inspection, signature)];
  if (problems.length > 0) throw new SlipwayError('MODEL_SIGNATURE', problems.join('; '));
}

function inputProblems(inputs: readonly ModelValue[], signature: Signature): string[] {
  const found = new Map(inputs.map((input) => [input.name, input]));
  const wanted = new Set(signature.inputs.map(({ name }) => name));
  const extra = inputs
    .filter(({ name }) => !wanted.has(name))
    .map(({ name }) => `the graph takes ${name}, which the signature lacks`);
  const wrong = signature.inputs.flatMap(({ name, datatype }) => {
    const input = found.get(name);
    if (!input) return [`the graph lacks the input ${name}`];
    if (input.datatype !== datatype) return [`input ${name} is ${input.datatype}, the signature says ${datatype}`];
    return isColumn(input.shape) ? [] : [`input ${name} has the shape ${shapeText(input.shape)}, not [rows, 1]`];
  });
  return [...extra, ...wrong];
}

function outputProblems(inspection: ModelInspection, signature: Signature): string[] {
  const { name, datatype } = signature.output;
  const extra = inspection.outputs
    .filter((output) => output.name !== name)
    .map((output) => `the graph gives ${output.name}, which the signature lacks`);
  const output = inspection.outputs.find((candidate) => candidate.name === name);
  if (!output) return [...extra, `the graph lacks the output ${name}`];
  if (output.datatype !== datatype)
    return [...extra, `output ${name} is ${output.datatype}, the signature says ${datatype}`];
  const shape = inspection.probeShapes[name] ?? [];
  const right = shape.length === 2 && shape[0] === 2 && shape[1] === 1;
  return right ? extra : [...extra, `output ${name} has the shape ${shapeText(shape)} for 2 rows, not [2, 1]`];
}

/** One value a row. */
export function isColumn(shape: readonly (number | null)[]): boolean {
  return shape[0] === null && (shape.length === 1 || (shape.length === 2 && (shape[1] === 1 || shape[1] === null)));
}

/** `[rows, 4]`. */
export function shapeText(shape: readonly (number | null)[]): string {
  return `[${shape.map((size) => size ?? 'rows').join(', ')}]`;
}
