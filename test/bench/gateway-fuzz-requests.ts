import { deflateSync, gzipSync } from 'node:zlib';

/** Same sequence for the same seed (mulberry32). */
export class Dice {
  constructor(private state: number) {}

  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }
}

/** Bytes as they go over the wire, and how they are sent. */
export interface FuzzRequest {
  readonly kind: string;
  readonly bytes: Buffer;
  /** Sent in pieces with pauses; the connection is left open or torn down in the middle. */
  readonly pace: 'whole' | 'pieces' | 'torn';
}

const DATATYPES = ['FP32', 'FP64', 'INT64', 'UINT64', 'BYTES', 'BOOL', 'FP16', 'BF16', 'INT8', 'X', ''];
const STRANGE: readonly unknown[] = [
  ...[null, true, -1, 0, 1.5, 1e308, -1e309, 2 ** 53, '', 'text', '\u0000', '\ud800', 'x'.repeat(5_000)],
  ...[[], {}, [[]], [null], { a: 1 }, [[1], [2]]],
];
const BOMB = gzipSync(Buffer.alloc(32 << 20), { level: 9 });

function tensor(dice: Dice): Record<string, unknown> {
  const values = Array.from({ length: dice.below(4) }, () =>
    dice.below(3) === 0 ? dice.pick(STRANGE) : dice.next() * 10,
  );
  const whole: Record<string, unknown> = {
    name: dice.pick(['distance', 'x', '', '__proto__', 'constructor']),
    datatype: dice.pick(DATATYPES),
    shape: dice.pick([[values.length], [values.length, 1], [1], [2 ** 40], [-1], ['1'], [], [1, 1, 1], [0], [NaN]]),
    data: values,
    parameters: dice.pick([undefined, {}, { binary_data_size: dice.pick([0, 4, 8, -1, 2 ** 40, '4']) }, 1, null]),
  };
  if (dice.below(4) === 0) whole[dice.pick(Object.keys(whole))] = dice.pick(STRANGE);
  return whole;
}

function inferText(dice: Dice): string {
  const body: Record<string, unknown> = {
    id: dice.pick([undefined, 'a', '', 1, null, 'x'.repeat(300)]),
    parameters: dice.pick([
      undefined,
      {},
      { timeout: dice.pick(STRANGE) },
      { priority: dice.pick(STRANGE) },
      { binary_data_output: true },
      [],
    ]),
    inputs: Array.from({ length: dice.below(3) }, () => tensor(dice)),
    outputs: dice.pick([undefined, [], [{ name: 'score' }], [{ name: 'no' }], [{}], {}]),
  };
  if (dice.below(4) === 0) body[dice.pick(Object.keys(body))] = dice.pick(STRANGE);
  return JSON.stringify(body) ?? '';
}

function predictText(dice: Dice): string {
  const rows = Array.from({ length: dice.below(3) }, () => ({
    distance: dice.pick(STRANGE),
    [dice.pick(['a', '__proto__'])]: 1,
  }));
  return (
    JSON.stringify(
      dice.pick<unknown>([{ instances: rows }, { keys: rows }, { instances: dice.pick(STRANGE) }, dice.pick(STRANGE)]),
    ) ?? ''
  );
}

function mutated(dice: Dice, bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  for (let times = dice.below(6); times > 0 && copy.length > 0; times -= 1)
    copy[dice.below(copy.length)] = dice.below(256);
  return dice.below(4) === 0 ? copy.subarray(0, dice.below(copy.length + 1)) : copy;
}

const noise = (dice: Dice, most: number): Buffer =>
  Buffer.from(Array.from({ length: dice.below(most) }, () => dice.below(256)));

function request(method: string, path: string, headers: readonly string[], body: Buffer, length = body.length): Buffer {
  const head = [`${method} ${path} HTTP/1.1`, 'Host: x', 'Connection: close', ...headers, `Content-Length: ${length}`];
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]);
}

type Maker = (dice: Dice, model: string) => Buffer;

const MAKERS: Readonly<Record<string, Maker>> = {
  'infer json': (dice, model) => request('POST', `/v2/models/${model}/infer`, [], Buffer.from(inferText(dice))),
  'mutated json': (dice, model) =>
    request('POST', `/v2/models/${model}/infer`, [], mutated(dice, Buffer.from(inferText(dice)))),
  predict: (dice, model) =>
    request('POST', `/v1/models/${model}:predict`, [], mutated(dice, Buffer.from(predictText(dice)))),
  binary: (dice, model) => {
    const head = Buffer.from(inferText(dice));
    const length = dice.pick([head.length, head.length - 1, 0, -1, 1e9, 'x']);
    const body = Buffer.concat([head, noise(dice, 64)]);
    return request('POST', `/v2/models/${model}/infer`, [`Inference-Header-Content-Length: ${length}`], body);
  },
  'binary, well formed': (dice, model) => {
    const values = Buffer.alloc(4 * (1 + dice.below(8)));
    values.fill(noise(dice, 32).toString('latin1') || 'x', 'latin1');
    const inputs = [
      {
        name: 'distance',
        datatype: 'FP32',
        shape: [values.length / 4],
        parameters: { binary_data_size: values.length },
      },
    ];
    const head = Buffer.from(JSON.stringify({ inputs }));
    const headers = [`Inference-Header-Content-Length: ${head.length}`];
    return request('POST', `/v2/models/${model}/infer`, headers, Buffer.concat([head, values]));
  },
  compressed: (dice, model) => {
    const encode = dice.pick([gzipSync, deflateSync]);
    const body = mutated(dice, encode(inferText(dice)));
    const headers = [`Content-Encoding: ${dice.pick(['gzip', 'deflate', 'br', 'gzip, gzip', ''])}`];
    return request('POST', `/v2/models/${model}/infer`, headers, body);
  },
  headers: (dice, model) => {
    const many = Array.from({ length: dice.below(200) }, (_, at) => `H${at}: ${noise(dice, 20).toString('base64')}`);
    const odd = dice.pick([
      'Content-Type: \u00ff',
      'Content-Type: a/b;charset=x',
      'Expect: 100-continue',
      'Transfer-Encoding: chunked',
      'X: y',
    ]);
    return request('POST', `/v2/models/${model}/infer`, [...many, odd], Buffer.from(inferText(dice)));
  },
  paths: (dice, model) => {
    const path = dice.pick([
      `/v2/models/${model}`,
      `/v1/models/${model}:predict`,
      '/v2',
      '/v2/repository/index',
      '/openapi.json',
      '/metrics',
    ]);
    const tail = noise(dice, 12)
      .toString('latin1')
      .replace(/[\s\u0000-\u001f]/g, '%');
    return request(
      dice.pick(['GET', 'POST', 'PUT', 'HEAD', 'OPTIONS', 'PATCH']),
      dice.pick([path, path + tail]),
      [],
      noise(dice, 40),
    );
  },
  noise: (dice) => noise(dice, 400),
  'wrong length': (dice, model) =>
    request('POST', `/v2/models/${model}/infer`, [], Buffer.from(inferText(dice)), dice.pick([0, 1, 1e6, 1e12])),
};
const NAMES = Object.keys(MAKERS);

/** The next malformed (or by chance well-formed) request. Bombs and large claims are rare, since each costs as a thousand others. */
export function fuzzRequest(dice: Dice, model: string): FuzzRequest {
  const roll = dice.below(1_000);
  if (roll === 0)
    return {
      kind: 'bomb',
      pace: 'whole',
      bytes: request('POST', `/v2/models/${model}/infer`, ['Content-Encoding: gzip'], BOMB),
    };
  if (roll === 1) {
    const body = Buffer.from(`{"inputs":${'['.repeat(50_000)}`);
    return { kind: 'nesting', pace: 'whole', bytes: request('POST', `/v2/models/${model}/infer`, [], body) };
  }
  const kind = dice.pick(NAMES);
  const pace = roll < 20 ? 'pieces' : roll < 60 ? 'torn' : 'whole';
  return { kind, pace, bytes: MAKERS[kind]!(dice, model) };
}
