import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Problem } from '../inference/problem';
import { encodeProblem } from './responses';
import { compress, COMPRESSED_FROM_BYTES, takesGzip } from './body-encoding';

export const JSON_TYPE = 'application/json';
/** A body so short that is not wanted costs less to discard than a connection. */
const DISCARDED_BYTES = 65_536;
/** How long who is turned away may go on sending before the connection ends, so that the answer is read first. */
const LINGER_MS = 1_000;

/** One request's way back over HTTP. Sends once; what comes later is dropped. */
export class HttpReply {
  constructor(
    protected readonly message: IncomingMessage,
    protected readonly response: ServerResponse,
  ) {}

  /** The caller left. */
  get isGone(): boolean {
    return this.response.destroyed;
  }

  refuse(problem: Problem): void {
    if (this.response.headersSent) return;
    this.setHeadersOf(problem);
    // The rest of the body is not wanted, and the connection with it.
    if (problem.code === 'REQUEST_TOO_LARGE' && !this.message.complete) this.response.setHeader('Connection', 'close');
    this.send(problem.status, encodeProblem(problem));
  }

  /**
   * As `refuse`, before anything of the body was taken. What the caller still sends is discarded; where that may be much, the connection ends
   * after the answer: not at once, since closing on bytes that were not read would reset it, and the answer with it.
   */
  refuseUnread(problem: Problem): void {
    const { message, response } = this;
    if (response.headersSent || response.destroyed) return;
    message.resume();
    const { 'content-length': length, 'transfer-encoding': coding } = message.headers;
    if (coding === undefined && Number(length ?? 0) <= DISCARDED_BYTES) return this.refuse(problem);
    this.setHeadersOf(problem);
    const body = Buffer.from(encodeProblem(problem));
    response.writeHead(problem.status, {
      'Content-Type': JSON_TYPE,
      'Content-Length': body.length,
      Connection: 'close',
    });
    response.write(body);
    const limit = setTimeout(() => response.end(), LINGER_MS);
    message.once('end', () => response.end());
    response.once('close', () => clearTimeout(limit));
  }

  send(status: number, body: string, type = JSON_TYPE): void {
    const length = Buffer.byteLength(body);
    if (length >= COMPRESSED_FROM_BYTES) return this.sendLong(status, Buffer.from(body), [], type);
    const { response } = this;
    if (response.headersSent || response.destroyed) return;
    // A flat list: node:http takes it as it is.
    response.writeHead(status, ['Content-Type', type, 'Content-Length', length] as unknown as string[]);
    response.end(body);
  }

  /** `headers` as name, value, name, value… */
  sendLong(status: number, body: Buffer, headers: readonly (string | number)[], type: string): void {
    if (body.length < COMPRESSED_FROM_BYTES) return this.sendBytes(status, body, headers, type);
    const varying = [...headers, 'Vary', 'Accept-Encoding'];
    if (!takesGzip(this.message.headers)) return this.sendBytes(status, body, varying, type);
    compress(body, (compressed) => {
      if (compressed === null) this.sendBytes(status, body, varying, type);
      else this.sendBytes(status, compressed, [...varying, 'Content-Encoding', 'gzip'], type);
    });
  }

  private setHeadersOf({ code, retryAfterSeconds }: Problem): void {
    if (retryAfterSeconds !== null) this.response.setHeader('Retry-After', retryAfterSeconds);
    // A challenge belongs to every 401 (RFC 9110, 11.6.1); API keys have no registered scheme.
    if (code === 'UNAUTHENTICATED') this.response.setHeader('WWW-Authenticate', 'Bearer realm="slipway"');
  }

  private sendBytes(status: number, body: Buffer, headers: readonly (string | number)[], type: string): void {
    const { response } = this;
    if (response.headersSent || response.destroyed) return;
    response.writeHead(status, [
      'Content-Type',
      type,
      'Content-Length',
      body.length,
      ...headers,
    ] as unknown as string[]);
    response.end(body);
  }
}
