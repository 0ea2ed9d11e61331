import { ServerCredentials } from '@grpc/grpc-js';
import type { TlsMaterial } from '../edge/certificates';

/** TLS of a gRPC server, whose certificate can be renewed while it serves. */
export class RenewableCredentials extends ServerCredentials {
  constructor(material: TlsMaterial) {
    const needsClient = material.ca !== undefined;
    super({ requestCert: needsClient, rejectUnauthorized: needsClient }, material);
  }

  /** For connections from now on. */
  renew(material: TlsMaterial): void {
    this.updateSecureContextOptions(material);
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}
