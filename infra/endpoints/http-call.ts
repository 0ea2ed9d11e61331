import * as http from 'node:http';
import * as https from 'node:https';
import { SlipwayError } from '../../workflows/domain/errors';
import { answerInvalid } from './answer-shape';
import type { Binding } from './bindings';
import { CallError } from './call-error';
import type { RawAnswer } from './codec';

/** Why a call is made: servers may count or bill it apart. */
export type Purpose = 'serve' | 'pair' | 'shadow' | 'check' | 'holdout';

export interface HttpCall {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly timeoutMs: number;
  /** The same call may be sent twice. */
  readonly idempotent: boolean;
  readonly signal?: AbortSignal;
  /** A connection of its own: a check must see what new connections are led to. */
  readonly fresh?: boolean;
}

export const MAX_ANSWER_BYTES = 8 << 20;
/** Below the 5 s after which Node's own servers, and many others, close what is idle. */
const IDLE_MS = 4_000;
/** A server that is just being replaced listens again soon. */
const RETRY_AFTER_MS = 25;
const LONGEST_RETRY_AFTER_MS = 60_000;

/** Whether another try is safe: nothing was sent, or the server hung up on a connection that it had kept, before it said a word. */
class CallFailed extends Error {
  constructor(
    readonly error: SlipwayError,
    readonly again: 'always' | 'idempotent' | 'never',
  ) {
    super(error.message);
  }
}

/**
 * Calls to one origin over kept connections: no redirects, no proxy of the environment, no compressed answers, certificates verified.
 * Nothing of an answer gets into an error.
 */
export class EndpointConnection {
  private readonly agent: http.Agent;

  constructor(
    private readonly name: string,
    private readonly binding: Binding,
  ) {
    const options = { keepAlive: true, timeout: IDLE_MS, scheduling: 'lifo' as const };
    this.agent = this.isSecure ? new https.Agent({ ...options, ...this.authorities }) : new http.Agent(options);
  }

  /** Throws ENDPOINT_UNAVAILABLE, ENDPOINT_TIMEOUT and ENDPOINT_ANSWER_INVALID; CANCELLED where the signal says so. */
  async call(call: HttpCall): Promise<RawAnswer> {
    const untilMs = performance.now() + call.timeoutMs;
    try {
      return await this.send(call, call.timeoutMs);
    } catch (error) {
      if (!(error instanceof CallFailed)) throw error;
      const isSafe = error.again === 'always' || (error.again === 'idempotent' && call.idempotent);
      await new Promise((resolve) => setTimeout(resolve, isSafe && error.again === 'always' ? RETRY_AFTER_MS : 0));
      const leftMs = untilMs - performance.now();
      if (!isSafe || leftMs <= 0 || call.signal?.aborted) throw error.error;
      return await this.send(call, leftMs).catch((again: unknown) => {
        throw again instanceof CallFailed ? again.error : again;
      });
    }
  }

  close(): void {
    this.agent.destroy();
  }

  private get isSecure(): boolean {
    return this.binding.origin.startsWith('https:');
  }

  /** Said again, since the environment could turn it off (NODE_TLS_REJECT_UNAUTHORIZED). */
  private get authorities(): { rejectUnauthorized: true; ca?: string } {
    return { rejectUnauthorized: true, ...(this.binding.ca === null ? {} : { ca: this.binding.ca }) };
  }

  private send(call: HttpCall, timeoutMs: number): Promise<RawAnswer> {
    return new Promise((resolve, reject) => {
      if (call.signal?.aborted) return reject(abandoned());
      const request = this.open(call);
      let isConnected = false;
      // Stays for good, and comes before anything may destroy the request: an 'error' that nobody listens to ends the process.
      request.on('error', (error) => fail(this.failureOf(error, isConnected, request.reusedSocket)));
      const end = (finish: () => void): void => {
        clearTimeout(timer);
        call.signal?.removeEventListener('abort', abort);
        finish();
      };
      const fail = (error: Error): void => end(() => reject(error));
      const abort = (): void => {
        fail(abandoned());
        request.destroy();
      };
      const timer = setTimeout(() => {
        const waited = `the endpoint ${this.name} did not answer within ${Math.round(call.timeoutMs)} ms`;
        fail(new SlipwayError('ENDPOINT_TIMEOUT', waited));
        request.destroy();
      }, timeoutMs);
      call.signal?.addEventListener('abort', abort, { once: true });
      request.once('socket', (socket) => {
        // Where that is not certain it counts as connected: a call that may have been sent must not be sent twice.
        if (request.reusedSocket || !socket.connecting) isConnected = true;
        else socket.once(this.isSecure ? 'secureConnect' : 'connect', () => (isConnected = true));
      });
      request.once('response', (response) => {
        this.read(response).then((answer) => end(() => resolve(answer)), fail);
      });
      request.end(call.body);
    });
  }

  private open({ method, path, headers, body, fresh }: HttpCall): http.ClientRequest {
    const { token, origin } = this.binding;
    const { protocol, hostname, port } = new URL(origin);
    const { request } = this.isSecure ? https : http;
    return request({
      ...{ protocol, port, method, path },
      hostname: hostname.replace(/^\[|\]$/g, ''),
      ...(fresh ? { agent: false, ...this.authorities } : { agent: this.agent }),
      headers: {
        ...headers,
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        accept: 'application/json, application/octet-stream',
        'accept-encoding': 'identity',
        'content-length': String(body.length),
      },
    });
  }

  /** The system's own code (ECONNREFUSED) says what to look at; its message may name more than people should see in a log. */
  private failureOf(error: Error, isConnected: boolean, isReused: boolean): CallFailed {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    const what = isConnected ? 'ended the connection' : 'cannot be reached';
    const message = `the endpoint ${this.name} ${what} (${code})`;
    const failure = new CallError('ENDPOINT_UNAVAILABLE', message, { isUndone: !isConnected });
    return new CallFailed(failure, isConnected ? (isReused ? 'idempotent' : 'never') : 'always');
  }

  private async read(response: http.IncomingMessage): Promise<RawAnswer> {
    const status = response.statusCode ?? 0;
    if (status < 200 || status > 299) {
      response.destroy();
      throw this.refusalOf(status, response.headers['retry-after']);
    }
    const encoding = response.headers['content-encoding'] ?? 'identity';
    if (encoding !== 'identity') {
      response.destroy();
      throw answerInvalid(`the endpoint ${this.name} compressed its answer although it was asked not to`);
    }
    const header = response.headers['inference-header-content-length'];
    return { body: await this.bodyOf(response), jsonBytes: typeof header === 'string' ? header : null };
  }

  private async bodyOf(response: http.IncomingMessage): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > MAX_ANSWER_BYTES) break;
        chunks.push(chunk);
      }
    } catch {
      throw new SlipwayError('ENDPOINT_UNAVAILABLE', `the endpoint ${this.name} broke off its answer`);
    }
    if (bytes > MAX_ANSWER_BYTES) throw answerInvalid(`the answer of ${this.name} is larger than 8 MiB`);
    return Buffer.concat(chunks);
  }

  private refusalOf(status: number, retryAfter: string | undefined): SlipwayError {
    if (status === 429 || status >= 500) {
      const seconds = /^\d{1,5}$/.test(retryAfter ?? '') ? Number(retryAfter) : 0;
      const facts = { status, isUndone: status === 429 || status === 503 };
      return new CallError('ENDPOINT_UNAVAILABLE', `the endpoint ${this.name} answered ${status}`, facts, {
        retryAfterMs: Math.min(seconds * 1_000, LONGEST_RETRY_AFTER_MS),
      });
    }
    const why =
      status >= 300 && status < 400
        ? '; redirects are not followed'
        : status === 401 || status === 403
          ? '; see bearerTokenFile of its binding'
          : '';
    return new CallError('ENDPOINT_ANSWER_INVALID', `the endpoint ${this.name} answered ${status}${why}`, { status });
  }
}

function abandoned(): SlipwayError {
  return new SlipwayError('CANCELLED', 'nobody waits for the answer any more');
}
