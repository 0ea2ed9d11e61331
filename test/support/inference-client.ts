import type { ServiceError } from '@grpc/grpc-js';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { healthService, inferenceService } from './inference-proto';

export type Reply = Record<string, unknown>;

export interface CallOptions {
  readonly metadata?: Readonly<Record<string, string>>;
  /** Epoch ms. */
  readonly deadline?: number;
}

/** A gRPC client made from the .proto files by the libraries that everybody has. */
export class InferenceClient {
  readonly client: Client;

  constructor(port: number) {
    this.client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  }

  async call(method: string, request: object = {}, options: CallOptions = {}): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.start(method, request, options, (error, reply) => (error ? reject(error) : resolve(reply!)));
    });
  }

  /** The call itself, which can be cancelled. */
  start(
    method: string,
    request: object,
    { metadata = {}, deadline }: CallOptions,
    done: (error: ServiceError | null, reply?: Reply) => void,
  ): { cancel(): void } {
    const { path, requestSerialize, responseDeserialize } = (method === 'Check' ? healthService : inferenceService)[
      method
    ]!;
    const sent = new Metadata();
    for (const [name, value] of Object.entries(metadata)) sent.set(name, value);
    return this.client.makeUnaryRequest(
      path,
      requestSerialize,
      (bytes: Buffer) => responseDeserialize(bytes) as Reply,
      request,
      sent,
      deadline === undefined ? {} : { deadline },
      done,
    );
  }

  close(): void {
    this.client.close();
  }
}

/** Scores of a ModelInferResponse, in whichever of the two forms. */
export function scoresOf(reply: Reply): number[] {
  const [raw] = reply['raw_output_contents'] as Buffer[];
  if (raw) return [...new Float32Array(new Uint8Array(raw).buffer)];
  const [output] = reply['outputs'] as { contents: { fp32_contents: number[] } }[];
  return output!.contents.fp32_contents;
}
