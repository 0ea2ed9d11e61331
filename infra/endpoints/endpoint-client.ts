import { randomUUID } from 'node:crypto';
import { SlipwayError } from '../../workflows/domain/errors';
import type { Signature } from '../../workflows/domain/release';
import type { Binding, Bindings } from './bindings';
import { CallError } from './call-error';
import type { EndpointCodec } from './codec';
import type { Values } from './columns';
import { createCodec } from './create-codec';
import type { EndpointDescriptor } from './descriptor';
import { EndpointConnection, type HttpCall, type Purpose } from './http-call';

export interface ScoreOptions {
  readonly purpose: Purpose;
  /** Of one call; the descriptor's where it is left out. */
  readonly timeoutMs?: number;
  /** For all calls together. */
  readonly withinMs?: number;
  readonly signal?: AbortSignal;
  /** What the idempotency keys of the calls begin with, where these may be made again. Default: each call has one of its own. */
  readonly key?: string;
  /** After each call that was answered, also where a later one of the same rows fails. */
  readonly onAnswer?: () => void;
  /** W3C trace context of the request that this is for. */
  readonly traceparent?: string;
}

/** Timers have whole milliseconds. */
const LEAST_MS = 1;
/** In parts of the descriptor's timeout; a little is spent before a call is on its way. */
const WHOLE_TIME = 0.9;

/** Asks the server of one release for scores. */
export class EndpointClient {
  readonly codec: EndpointCodec;
  private opened: { readonly binding: Binding; readonly connection: EndpointConnection } | null = null;
  private isClosed = false;

  /** Throws MODEL_SIGNATURE where the descriptor cannot carry these inputs. */
  constructor(
    readonly descriptor: EndpointDescriptor,
    signature: Pick<Signature, 'inputs'>,
    private readonly bindings: Bindings,
  ) {
    this.codec = createCodec(descriptor, signature);
  }

  /** Throws ENDPOINT_NOT_BOUND. */
  get maxInFlight(): number {
    return this.bindings.find(this.descriptor.endpoint).maxInFlight;
  }

  /** Calls that `rows` rows take. */
  callsOf(rows: number): number {
    return Math.ceil(rows / this.descriptor.maxRows);
  }

  /**
   * Scores of all rows, in order, in as many calls as `maxRows` asks for, one after the other. Throws ENDPOINT_*, INPUT_INVALID for a
   * missing value that cannot be sent, and CANCELLED.
   */
  async score(columns: readonly Values[], rows: number, options: ScoreOptions): Promise<Float32Array> {
    this.codec.check(columns, rows);
    const untilMs = performance.now() + (options.withinMs ?? Infinity);
    const scores = new Float32Array(rows);
    for (let from = 0; from < rows; from += this.descriptor.maxRows) {
      const to = Math.min(rows, from + this.descriptor.maxRows);
      scores.set(await this.scoreChunk(columns, from, to, untilMs, options), from);
    }
    return scores;
  }

  /** JSON at a path of the server, such as a model's metadata. */
  async get(path: string): Promise<Buffer> {
    const { timeoutMs } = this.descriptor;
    const headers = { 'slipway-purpose': 'check' };
    const call: HttpCall = {
      method: 'GET',
      path,
      headers,
      body: Buffer.alloc(0),
      timeoutMs,
      idempotent: true,
      fresh: true,
    };
    return (await this.connection().call(call)).body;
  }

  /** Calls under way end on the connections they have; none is begun after this. */
  close(): void {
    this.isClosed = true;
    this.opened?.connection.close();
    this.opened = null;
  }

  private async scoreChunk(
    columns: readonly Values[],
    from: number,
    to: number,
    untilMs: number,
    options: ScoreOptions,
  ): Promise<Float32Array> {
    const { purpose, timeoutMs = this.descriptor.timeoutMs, signal, traceparent, key } = options;
    const { headers, body } = this.codec.encode(columns, from, to);
    const leftMs = Math.min(timeoutMs, untilMs - performance.now());
    if (leftMs < LEAST_MS) throw this.hasty(`no time was left to ask the endpoint ${this.descriptor.endpoint}`);
    const call: HttpCall = {
      method: 'POST',
      path: this.codec.path,
      headers: {
        ...headers,
        'idempotency-key': key === undefined ? randomUUID() : `${key}-${from}`,
        'slipway-purpose': purpose,
        ...(traceparent === undefined ? {} : { traceparent }),
      },
      body,
      timeoutMs: leftMs,
      idempotent: this.descriptor.idempotent,
      fresh: purpose === 'check',
      ...(signal ? { signal } : {}),
    };
    const answer = await this.connection()
      .call(call)
      .catch((error: unknown) => this.blame(error, leftMs));
    options.onAnswer?.();
    return this.codec.decode(answer, to - from);
  }

  /** A call that had less of the descriptor's time says nothing of the server. */
  private blame(error: unknown, leftMs: number): never {
    const isTimeout = error instanceof SlipwayError && error.code === 'ENDPOINT_TIMEOUT';
    throw isTimeout && leftMs < WHOLE_TIME * this.descriptor.timeoutMs ? this.hasty(error.message) : error;
  }

  private hasty(message: string): CallError {
    return new CallError('ENDPOINT_TIMEOUT', message, { isHasty: true });
  }

  /** Where the binding changed, calls under way end on the connections they began on. */
  private connection(): EndpointConnection {
    if (this.isClosed) throw new SlipwayError('CANCELLED', 'the endpoint is not asked any more');
    const binding = this.bindings.find(this.descriptor.endpoint);
    const { opened } = this;
    if (opened && isSame(opened.binding, binding)) return opened.connection;
    const connection = new EndpointConnection(this.descriptor.endpoint, binding);
    this.opened = { binding, connection };
    return connection;
  }
}

function isSame(a: Binding, b: Binding): boolean {
  return a.origin === b.origin && a.token === b.token && a.ca === b.ca;
}
