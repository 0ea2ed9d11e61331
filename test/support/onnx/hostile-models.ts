import { ELEMENT, GraphBuilder } from '../../../infra/onnx/graph-builder';

/** score = the input, after a sum of so many steps that nobody waits for its end; made of operators that are served. */
export function tediousModel(input: string, steps = 100_000_000): Uint8Array {
  const body = new GraphBuilder('b_');
  const state = body.input('b_state', 'float', []);
  const step = body.input('b_step', 'float', []);
  body.output(body.op('Sin', [body.op('Add', [state, step])]), 'float', [], 'b_next');
  const graph = new GraphBuilder();
  graph.input(input, 'float', ['n', 1]);
  const range = graph.op('Range', [graph.floats([0], []), graph.floats([steps], []), graph.floats([1], [])]);
  const first = graph.op('ReduceMean', [input], { keepdims: 0 });
  const [last] = graph.ops('Scan', 1, [first, range], { body, num_scan_inputs: 1 });
  const none = graph.op('Mul', [last!, graph.floats([0], [1])]);
  graph.output(graph.op('Add', [input, none]), 'float', ['n', 1], 'score');
  return graph.modelBytes('tedious');
}

/** Loops until somebody ends it. */
export function endlessModel(input: string): Uint8Array {
  const body = new GraphBuilder('b_');
  body.input('b_i', 'int64', []);
  const on = body.input('b_on', 'bool', []);
  const value = body.input('b_x', 'float', ['n', 1]);
  body.output(on, 'bool', [], 'b_go');
  body.output(body.op('Sin', [value]), 'float', ['n', 1], 'b_out');
  const graph = new GraphBuilder();
  graph.input(input, 'float', ['n', 1]);
  const yes = graph.constant({ dims: [], dataType: ELEMENT.bool, rawData: Uint8Array.of(1) });
  const [score] = graph.ops('Loop', 1, ['', yes, input], { body });
  graph.output(score!, 'float', ['n', 1], 'score');
  return graph.modelBytes('endless');
}
