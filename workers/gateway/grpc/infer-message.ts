import type { RequestLimits, V2Request, V2Tensor } from '../inference/protocol';
import { invalid, quote, tooLarge } from '../inference/protocol';
import { contentsData, rawTensorData } from './tensor-contents';
import { WireReader } from './wire-reader';

type Parameters = Record<string, unknown>;

const NO_PARAMETERS: Readonly<Parameters> = Object.freeze({});

/**
 * A ModelInferRequest (open-inference.proto). Made, it knows which model is meant; the rest is read by `request`, since only a model that is
 * served is worth it. Both throw REQUEST_INVALID for what is no such message.
 */
export class InferMessage {
  model = '';
  version = '';
  /** Whether scores are to be sent as raw bytes: where the caller sent raw bytes, or asked (`binary_data`, `binary_data_output`). */
  isRaw = false;
  private id = '';
  private parameters: Readonly<Parameters> = NO_PARAMETERS;
  private readonly inputs: WireReader[] = [];
  private readonly outputs: WireReader[] = [];
  private readonly raw: WireReader[] = [];

  constructor(bytes: Buffer) {
    const reader = new WireReader(bytes);
    while (reader.next()) {
      switch (reader.field) {
        case 1:
          this.model = reader.string();
          break;
        case 2:
          this.version = reader.string();
          break;
        case 3:
          this.id = reader.string();
          break;
        case 4:
          this.parameters = readParameter(reader.message(), this.parameters);
          break;
        case 5:
          this.inputs.push(reader.message());
          break;
        case 6:
          this.outputs.push(reader.message());
          break;
        case 7:
          this.raw.push(reader.message());
          break;
        default:
          reader.skip();
      }
    }
  }

  /** `untilMs` is the caller's deadline, epoch ms, Infinity for none: a `timeout` (µs) among the parameters where it comes first. */
  request(limits: RequestLimits, untilMs: number): V2Request {
    if (this.id.length > limits.idLength)
      throw tooLarge(`\`id\` has ${this.id.length} characters; at most ${limits.idLength}`);
    const count = this.inputs.length;
    if (count > limits.inputs) throw tooLarge(`${count} inputs; at most ${limits.inputs}`);
    if (this.raw.length > 0 && this.raw.length !== count)
      throw invalid(`${this.raw.length} raw_input_contents for ${count} inputs`);
    this.isRaw = this.raw.length > 0 || this.parameters.binary_data_output === true;
    const inputs = new Array<V2Tensor>(count);
    for (let at = 0; at < count; at += 1) inputs[at] = readTensor(this.inputs[at]!, this.raw[at] ?? null, limits);
    return {
      id: this.id === '' ? null : this.id,
      parameters: untilMs === Infinity ? this.parameters : withDeadline(this.parameters, untilMs),
      inputs,
      outputs: this.outputs.length === 0 ? null : this.outputs.map((output) => this.readOutput(output)),
    };
  }

  private readOutput(reader: WireReader): string {
    let name = '';
    let parameters = NO_PARAMETERS;
    while (reader.next()) {
      if (reader.field === 1) name = reader.string();
      else if (reader.field === 2) parameters = readParameter(reader.message(), parameters);
      else reader.skip();
    }
    if (parameters.binary_data === true) this.isRaw = true;
    return name;
  }
}

function readTensor(reader: WireReader, raw: WireReader | null, limits: RequestLimits): V2Tensor {
  let name = '';
  let datatype = '';
  let contents: WireReader | null = null;
  const shape: number[] = [];
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        name = reader.string();
        break;
      case 2:
        datatype = reader.string();
        break;
      case 3:
        reader.numbers('int64', shape);
        break;
      case 5:
        // A message that comes twice is the two together: so are their bytes.
        contents = contents === null ? reader.message() : joined(contents, reader.message());
        break;
      default:
        reader.skip();
    }
  }
  if (raw === null) return { name, datatype, shape, data: contentsData(name, datatype, contents) };
  if (contents !== null && contents.length > 0)
    throw invalid(`input ${quote(name)} has contents and raw_input_contents; one of them is meant`);
  return { name, datatype, shape, data: rawTensorData(name, datatype, shape, raw, limits) };
}

function joined(first: WireReader, second: WireReader): WireReader {
  return new WireReader(Buffer.concat([first.rest(), second.rest()]));
}

function readParameter(entry: WireReader, known: Readonly<Parameters>): Readonly<Parameters> {
  let name = '';
  let value: unknown;
  while (entry.next()) {
    if (entry.field === 1) name = entry.string();
    else if (entry.field === 2) value = readValue(entry.message(), value);
    else entry.skip();
  }
  const parameters: Parameters = known === NO_PARAMETERS ? {} : known;
  if (value !== undefined) parameters[name] = value;
  return parameters;
}

/** InferParameter: the last of its choices counts. */
function readValue(reader: WireReader, before: unknown): unknown {
  let value = before;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        value = reader.bool();
        break;
      case 2:
        value = reader.int64();
        break;
      case 3:
        value = reader.string();
        break;
      case 4:
        value = reader.double();
        break;
      case 5:
        value = reader.uint64();
        break;
      default:
        reader.skip();
    }
  }
  return value;
}

/** A `timeout` of 0 is none (Triton's convention); one that is no number is left for who reads it. */
function withDeadline(parameters: Readonly<Parameters>, untilMs: number): Readonly<Parameters> {
  const leftUs = Math.max(1, Math.floor((untilMs - Date.now()) * 1_000));
  const { timeout } = parameters;
  if (timeout !== undefined && (typeof timeout !== 'number' || (timeout > 0 && timeout <= leftUs))) return parameters;
  return { ...parameters, timeout: leftUs };
}
