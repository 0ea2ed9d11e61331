import { Client, Connection } from '@temporalio/client';
import { SlipwayError } from '../../workflows/domain/errors';
import type { SlipwayConfig } from '../config/config';

export interface TemporalHandle {
  readonly client: Client;
  readonly connection: Connection;
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 5000;

/** A typed client on an open connection; the one place that builds them. Throws TEMPORAL_UNAVAILABLE. */
export async function connectTemporal(settings: SlipwayConfig['temporal']): Promise<TemporalHandle> {
  const connection = await openConnection(settings.address);
  const client = new Client({ connection, namespace: settings.namespace });
  return { client, connection, close: () => connection.close() };
}

/** Connects on first use, so that a process can start while Temporal is away. */
export function lazyTemporal(settings: SlipwayConfig['temporal']): TemporalHandle {
  const connection = Connection.lazy({ address: settings.address, connectTimeout: CONNECT_TIMEOUT_MS });
  const client = new Client({ connection, namespace: settings.namespace });
  return { client, connection, close: () => connection.close() };
}

async function openConnection(address: string): Promise<Connection> {
  try {
    return await Connection.connect({ address, connectTimeout: CONNECT_TIMEOUT_MS });
  } catch (error) {
    throw temporalUnavailable(address, error);
  }
}

export function temporalUnavailable(address: string, cause: unknown): SlipwayError {
  return new SlipwayError('TEMPORAL_UNAVAILABLE', `no Temporal server answers at ${address}`, { cause });
}
