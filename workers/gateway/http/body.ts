import type { IncomingMessage } from 'node:http';
import { SlipwayError } from '../../../workflows/domain/errors';

const NOTHING = Buffer.alloc(0);

/** Who waits for a body. */
export interface BodyTaker {
  /** Called once: with the whole body, or with REQUEST_TOO_LARGE at once, whatever Content-Length claims. */
  takeBody(error: SlipwayError | null, bytes: Buffer): void;
}

/** Reads the body of a request. */
export function readBody(message: IncomingMessage, maxBytes: number, taker: BodyTaker): void {
  const declared = message.headers['content-length'];
  if (declared !== undefined && Number(declared) > maxBytes) {
    message.resume();
    return taker.takeBody(
      new SlipwayError('REQUEST_TOO_LARGE', `the body has ${declared} bytes; at most ${maxBytes}`),
      NOTHING,
    );
  }
  new BodyReader(message, maxBytes, taker).start();
}

/** Resolves with the whole body; rejects as `readBody` tells. */
export function bodyOf(message: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    readBody(message, maxBytes, { takeBody: (error, bytes) => (error ? reject(error) : resolve(bytes)) });
  });
}

const FIRST_BYTES = 16_384;

class BodyReader {
  private first: Buffer | null = null;
  /** Where a body that came in several pieces grows. Pieces are not kept: a sender can make one of every byte. */
  private whole: Buffer | null = null;
  private bytes = 0;
  private isDone = false;

  constructor(
    private readonly message: IncomingMessage,
    private readonly maxBytes: number,
    private readonly taker: BodyTaker,
  ) {}

  start(): void {
    this.message.on('data', (chunk: Buffer) => this.take(chunk));
    this.message.on('end', () => this.end());
    this.message.on('error', () =>
      this.finish(new SlipwayError('REQUEST_INVALID', 'the request ended early'), NOTHING),
    );
  }

  private take(chunk: Buffer): void {
    if (this.isDone) return;
    const before = this.bytes;
    this.bytes += chunk.length;
    if (this.bytes > this.maxBytes)
      return this.finish(
        new SlipwayError('REQUEST_TOO_LARGE', `the body has more than ${this.maxBytes} bytes`),
        NOTHING,
      );
    if (this.first === null) this.first = chunk;
    else this.append(chunk, before);
  }

  private append(chunk: Buffer, before: number): void {
    if (this.whole === null || this.bytes > this.whole.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(FIRST_BYTES, this.bytes * 2));
      (this.whole ?? this.first!).copy(larger, 0, 0, before);
      this.whole = larger;
    }
    chunk.copy(this.whole, before);
  }

  private end(): void {
    this.finish(null, this.whole === null ? (this.first ?? NOTHING) : this.whole.subarray(0, this.bytes));
  }

  private finish(error: SlipwayError | null, body: Buffer): void {
    if (this.isDone) return;
    this.isDone = true;
    this.first = null;
    this.whole = null;
    this.taker.takeBody(error, body);
  }
}
