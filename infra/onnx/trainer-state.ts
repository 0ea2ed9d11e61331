/** Everything that training goes on from after an epoch: no generator, clock or file is part of it. */
export interface TrainerState {
  /** Epochs that are done. */
  readonly epoch: number;
  /** Parameters, Adam's first and second moments, and its two powers β₁ᵗ and β₂ᵗ. */
  readonly theta: Float32Array;
  readonly m: Float32Array;
  readonly v: Float32Array;
  readonly powers: Float32Array;
  readonly best: { readonly epoch: number; readonly loss: number; readonly theta: Float32Array };
}

const MAGIC = 'slipway.checkpoint/1';
const VECTORS = ['theta', 'm', 'v', 'powers'] as const;

/** One line of JSON, then the vectors as little-endian FP32. `identity` names the data and decisions it belongs to. */
export function encodeCheckpoint(state: TrainerState, identity: string): Uint8Array {
  const vectors = [...VECTORS.map((name) => state[name]), state.best.theta];
  const header = {
    magic: MAGIC,
    identity,
    epoch: state.epoch,
    best: { epoch: state.best.epoch, loss: state.best.loss },
    lengths: vectors.map(({ length }) => length),
  };
  return Buffer.concat([
    Buffer.from(`${JSON.stringify(header)}\n`),
    ...vectors.map((vector) => Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength)),
  ]);
}

/** Null where the bytes are no checkpoint, are torn, or belong to another identity: then an older one is tried. */
export function decodeCheckpoint(bytes: Uint8Array, identity: string): TrainerState | null {
  const end = bytes.indexOf(0x0a);
  if (end < 0) return null;
  const header = parseHeader(Buffer.from(bytes.subarray(0, end)).toString('utf8'));
  if (!header || header.identity !== identity) return null;
  const body = new Uint8Array(bytes.subarray(end + 1)); // A copy, aligned: `slice` of a Buffer would be a view.
  if (body.length !== header.lengths.reduce((sum, length) => sum + length, 0) * 4) return null;
  const vectors: Float32Array[] = [];
  let offset = 0;
  for (const length of header.lengths) {
    vectors.push(new Float32Array(body.buffer, body.byteOffset + offset * 4, length).slice());
    offset += length;
  }
  const [theta, m, v, powers, best] = vectors;
  if (!theta || !m || !v || !powers || !best) return null;
  return { epoch: header.epoch, theta, m, v, powers, best: { ...header.best, theta: best } };
}

interface Header {
  readonly magic: string;
  readonly identity: string;
  readonly epoch: number;
  readonly best: { readonly epoch: number; readonly loss: number };
  readonly lengths: readonly number[];
}

function parseHeader(text: string): Header | null {
  try {
    const header = JSON.parse(text) as Partial<Header>;
    const whole =
      header.magic === MAGIC &&
      typeof header.epoch === 'number' &&
      typeof header.best?.loss === 'number' &&
      Array.isArray(header.lengths);
    return whole ? (header as Header) : null;
  } catch {
    return null;
  }
}
