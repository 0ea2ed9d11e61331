import { onnx } from 'onnx-proto';
import { addNode, appendConstant } from './onnx-edit';

const DAY_MS = 86_400_000;

/**
 * A model with a mistake that no holdout shows: its "correction by day" is a table that ends with the quarter. Earlier days take its first line; on
 * later ones the look-up fails, and with it the request. `firstDayMs` is the table's first day; its corrections are all zero.
 */
export function withEndingTable(
  model: Uint8Array,
  timestamp: string,
  output: string,
  firstDayMs: number,
  days: number,
): Uint8Array {
  const proto = onnx.ModelProto.decode(model);
  const graph = proto.graph;
  if (!graph) throw new Error('the model has no graph');
  const inner = `${output}_before_correction`;
  for (const node of graph.node ?? [])
    node.output = (node.output ?? []).map((name) => (name === output ? inner : name));
  appendConstant(graph, 'day_ms', { int64: [DAY_MS] });
  appendConstant(graph, 'first_day', { int64: [Math.floor(firstDayMs / DAY_MS)] });
  appendConstant(graph, 'no_day', { int64: [0] });
  appendConstant(graph, 'corrections', { float: Array.from({ length: days }, () => 0) });
  addNode(graph, 'Div', [timestamp, 'day_ms'], 'day_number');
  addNode(graph, 'Sub', ['day_number', 'first_day'], 'days_since');
  addNode(graph, 'Max', ['days_since', 'no_day'], 'day_of_table');
  addNode(graph, 'Gather', ['corrections', 'day_of_table'], 'correction');
  addNode(graph, 'Add', [inner, 'correction'], output);
  return onnx.ModelProto.encode(proto).finish();
}
