import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Problem } from '../responses';
import { encodeProblem } from '../responses';
import { compress, COMPRESSED_FROM_BYTES, takesGzip } from './body-encoding';

export const JSON_TYPE = 'application/json';

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
    if (problem.retryAfterSeconds !== null) this.response.setHeader('Retry-After', problem.retryAfterSeconds);
    // The rest of the body is not wanted, and the connection with it.
    if (problem.code === 'REQUEST_TOO_LARGE' && !this.message.complete) this.response.setHeader('Connection', 'close');
    this.send(problem.status, encodeProblem(problem));
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
