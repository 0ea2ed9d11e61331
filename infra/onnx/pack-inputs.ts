/** The one input that stands for all packed ones: their values one input after the other, [inputs × rows, 1]. */
export const PACKED_INPUT = 'slipway/packed';

/** Field numbers of onnx.proto (github.com/onnx/onnx), of the messages that are looked into here. */
const MODEL = { graph: 7, opsetImport: 8 } as const;
const OPSET = { domain: 1, version: 2 } as const;
const GRAPH = { node: 1, input: 11 } as const;
const VALUE = { name: 1, type: 2 } as const;
const NODE = { input: 1, output: 2, opType: 4, attribute: 5 } as const;
const ATTRIBUTE = { name: 1, int: 3, type: 20 } as const;
const FLOAT = 1;
const INT_ATTRIBUTE = 2;
/** Since this version of the operators `Split` has to be told the number of its outputs. */
const COUNTED_SPLIT = 18;
const VARINT = 0;
const BYTES = 2;
const FIXED_BYTES: Readonly<Record<number, number>> = { 1: 8, 5: 4 };

/** One field of a protobuf message: `from` its tag, `at` its value (behind the length, where there is one), `to` its end. */
interface Field {
  readonly number: number;
  readonly value: number;
  readonly from: number;
  readonly at: number;
  readonly to: number;
}

/**
 * The same model behind one float input in place of the float inputs `names`, each [rows, 1], which a `Split` makes of it: what a run
 * costs grows with its number of tensors, about 2 µs each, and copying does not. Only the outermost fields are read and the rest is
 * copied as it stands, so that a model's size hardly matters. Null where the file is not of the kind that this can be done with.
 */
export function packInputs(bytes: Uint8Array, names: readonly string[]): Uint8Array | null {
  const fields = readFields(bytes, 0, bytes.length);
  const graphs = fields?.filter(({ number }) => number === MODEL.graph) ?? [];
  const version = fields && opsetVersion(bytes, fields);
  if (graphs.length !== 1 || version === null || version === undefined) return null;
  const { from, at, to } = graphs[0]!;
  const graph = packGraph(bytes, at, to, names, version);
  return graph && Buffer.concat([bytes.subarray(0, from), message(MODEL.graph, graph), bytes.subarray(to)]);
}

function packGraph(
  bytes: Uint8Array,
  from: number,
  to: number,
  names: readonly string[],
  version: number,
): Uint8Array | null {
  const fields = readFields(bytes, from, to);
  if (!fields) return null;
  const packed = new Set(names);
  const replaced = fields.filter(
    (field) => field.number === GRAPH.input && packed.delete(nameOf(bytes, field) ?? PACKED_INPUT),
  );
  if (packed.size > 0 || replaced.length !== names.length) return null;
  const kept: Uint8Array[] = [];
  let copied = from;
  for (const field of replaced) {
    kept.push(bytes.subarray(copied, field.from));
    copied = field.to;
  }
  // Nodes stand in the order in which they can be run.
  return Buffer.concat([
    message(GRAPH.node, splitNode(names, version)),
    ...kept,
    bytes.subarray(copied, to),
    message(GRAPH.input, packedValue()),
  ]);
}

function splitNode(names: readonly string[], version: number): Uint8Array {
  const attributes = [intAttribute('axis', 0)];
  if (version >= COUNTED_SPLIT) attributes.push(intAttribute('num_outputs', names.length));
  return Buffer.concat([
    text(NODE.input, PACKED_INPUT),
    ...names.map((name) => text(NODE.output, name)),
    text(NODE.opType, 'Split'),
    ...attributes.map((attribute) => message(NODE.attribute, attribute)),
  ]);
}

function intAttribute(name: string, value: number): Uint8Array {
  return Buffer.concat([
    text(ATTRIBUTE.name, name),
    integer(ATTRIBUTE.int, value),
    integer(ATTRIBUTE.type, INT_ATTRIBUTE),
  ]);
}

/** ValueInfoProto { name, type: { tensor_type: { elem_type, shape: { dim: [{ dim_param }, { dim_value: 1 }] } } } }. */
function packedValue(): Uint8Array {
  const shape = Buffer.concat([message(1, text(2, 'slipway/values')), message(1, integer(1, 1))]);
  const tensor = Buffer.concat([integer(1, FLOAT), message(2, shape)]);
  return Buffer.concat([text(VALUE.name, PACKED_INPUT), message(VALUE.type, message(1, tensor))]);
}

/** Of the main operators; null where the model names none, or two. */
function opsetVersion(bytes: Uint8Array, fields: readonly Field[]): number | null {
  const versions = fields.flatMap(({ number, at, to }) => {
    const inner = number === MODEL.opsetImport ? readFields(bytes, at, to) : null;
    const domain = inner?.find((field) => field.number === OPSET.domain);
    const isMain = inner && (!domain || ['', 'ai.onnx'].includes(textOf(bytes, domain)));
    return isMain ? [inner.find((field) => field.number === OPSET.version)?.value ?? 0] : [];
  });
  return versions.length === 1 ? versions[0]! : null;
}

function nameOf(bytes: Uint8Array, { at, to }: Field): string | null {
  const name = readFields(bytes, at, to)?.find(({ number }) => number === VALUE.name);
  return name ? textOf(bytes, name) : null;
}

function textOf(bytes: Uint8Array, { at, to }: Field): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, to - at).toString('utf8');
}

/** The fields of one message, not of those inside it; null where the bytes are no message. Numbers beyond 2^53 are not met in what is read. */
function readFields(bytes: Uint8Array, from: number, to: number): Field[] | null {
  const fields: Field[] = [];
  let at = from;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; at < to; factor *= 128) {
      const byte = bytes[at]!;
      at += 1;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
    return NaN;
  };
  while (at < to) {
    const start = at;
    const tag = varint();
    const wire = tag % 8;
    const value = wire === VARINT || wire === BYTES ? varint() : 0;
    const length = wire === VARINT ? 0 : wire === BYTES ? value : FIXED_BYTES[wire];
    if (length === undefined || !(at + length <= to)) return null;
    fields.push({ number: Math.floor(tag / 8), value, from: start, at, to: at + length });
    at += length;
  }
  return fields;
}

function varintBytes(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return [...bytes, value];
}

function integer(number: number, value: number): Uint8Array {
  return Uint8Array.from([...varintBytes(number * 8 + VARINT), ...varintBytes(value)]);
}

function message(number: number, content: Uint8Array): Uint8Array {
  return Buffer.concat([
    Uint8Array.from([...varintBytes(number * 8 + BYTES), ...varintBytes(content.length)]),
    content,
  ]);
}

function text(number: number, value: string): Uint8Array {
  return message(number, Buffer.from(value, 'utf8'));
}
