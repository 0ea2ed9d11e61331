import type { Client } from '@temporalio/client';
import type { SlipwayConfig } from '../infra/config/config';
import type { BlobStore, ObjectStore } from '../infra/object-store/port';
import type { Signer } from '../infra/signing/port';

/** What the parts of the client library work with. */
export interface ClientPorts {
  readonly config: SlipwayConfig;
  readonly store: ObjectStore;
  readonly blobs: BlobStore;
  readonly temporal: Client;
  /** A private key of the key folder, by name. Throws CONFIG_INVALID. */
  signer(name: string): Promise<Signer>;
}

export const DEFAULT_KEY = 'developer';
