import type { InferenceSession } from 'onnxruntime-node';
import { SlipwayError } from '../../workflows/domain/errors';
import type { Signature } from '../../workflows/domain/release';
import { tableOfRows } from './feature-table';
import { tensorsOf } from './feature-tensors';
import type { FeatureTable, RowValue } from './feature-table';

/** Rows of one run: bounds the memory of what the graph holds in between. */
const CHUNK_ROWS = 16_384;

/** Scores of all rows, in order: P(label = 1) or the value. Throws SlipwayError INFERENCE_FAILED, MODEL_SIGNATURE for an output of the wrong size. */
export async function scoreTable(
  session: InferenceSession,
  signature: Signature,
  table: FeatureTable,
): Promise<Float32Array> {
  const scores = new Float32Array(table.rows);
  for (let from = 0; from < table.rows; from += CHUNK_ROWS) {
    const to = Math.min(from + CHUNK_ROWS, table.rows);
    const output = await runChunk(session, signature, table, from, to);
    if (!(output instanceof Float32Array) || output.length !== to - from) {
      throw new SlipwayError(
        'MODEL_SIGNATURE',
        `output ${signature.output.name} must be FP32 [rows, 1] with one value a row`,
      );
    }
    scores.set(output, from);
  }
  return scores;
}

async function runChunk(
  session: InferenceSession,
  signature: Signature,
  table: FeatureTable,
  from: number,
  to: number,
): Promise<unknown> {
  try {
    const out = await session.run(tensorsOf(table, signature.inputs, from, to), [signature.output.name]);
    return out[signature.output.name]?.data;
  } catch (error) {
    throw new SlipwayError('INFERENCE_FAILED', `rows ${from} to ${to - 1}: ${whereItFailed(error)}`);
  }
}

/** The node of the graph that failed. What ONNX Runtime says of the failure may quote a value of a row (invariant I10), so it is no cause either. */
function whereItFailed(error: unknown): string {
  const message = typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : '';
  const node = /running (\w+) node\. Name:\s*'([^']*)'/.exec(message);
  return node ? `the model failed at its ${node[1]} node ${JSON.stringify(node[2])}` : 'the model failed';
}

/** Scores rows as callers send them, by feature name. Throws TypeError for a value of the wrong type, else as `scoreTable`. */
export function scoreRows(
  session: InferenceSession,
  signature: Signature,
  rows: readonly Readonly<Record<string, RowValue>>[],
): Promise<Float32Array> {
  return scoreTable(session, signature, tableOfRows(rows, signature.inputs));
}
