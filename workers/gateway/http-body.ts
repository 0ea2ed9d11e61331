import type { IncomingMessage } from 'node:http';
import { SlipwayError } from '../../workflows/domain/errors';

/** The whole body as text, or a SlipwayError: REQUEST_TOO_LARGE at once, whatever Content-Length claims. Called back once. */
export function readBody(
  message: IncomingMessage,
  maxBytes: number,
  done: (error: SlipwayError | null, text: string) => void,
): void {
  const declared = Number(message.headers['content-length'] ?? 0);
  if (declared > maxBytes)
    return done(new SlipwayError('REQUEST_TOO_LARGE', `the body has ${declared} bytes; at most ${maxBytes}`), '');
  new BodyReader(message, maxBytes, done).start();
}

class BodyReader {
  private first: Buffer | null = null;
  private rest: Buffer[] | null = null;
  private bytes = 0;
  private isDone = false;

  constructor(
    private readonly message: IncomingMessage,
    private readonly maxBytes: number,
    private readonly done: (error: SlipwayError | null, text: string) => void,
  ) {}

  start(): void {
    this.message.on('data', (chunk: Buffer) => this.take(chunk));
    this.message.on('end', () => this.end());
    this.message.on('error', () => this.finish(new SlipwayError('REQUEST_INVALID', 'the request ended early')));
  }

  private take(chunk: Buffer): void {
    if (this.isDone) return;
    this.bytes += chunk.length;
    if (this.bytes > this.maxBytes)
      return this.finish(new SlipwayError('REQUEST_TOO_LARGE', `the body has more than ${this.maxBytes} bytes`));
    if (this.first === null) this.first = chunk;
    else (this.rest ??= []).push(chunk);
  }

  private end(): void {
    if (this.isDone) return;
    this.isDone = true;
    const whole = this.rest ? Buffer.concat([this.first!, ...this.rest]) : this.first;
    this.done(null, whole ? whole.toString('utf8') : '');
  }

  private finish(error: SlipwayError): void {
    if (this.isDone) return;
    this.isDone = true;
    this.done(error, '');
  }
}
