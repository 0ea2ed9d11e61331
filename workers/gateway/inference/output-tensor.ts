/** An answer's output beside the score: [rows, width], row by row. */
export type OutputTensor =
  | { readonly name: string; readonly datatype: 'FP32'; readonly width: number; readonly data: Float32Array }
  | { readonly name: string; readonly datatype: 'BYTES'; readonly width: number; readonly data: readonly string[] };

export const NO_OUTPUTS: readonly OutputTensor[] = [];
