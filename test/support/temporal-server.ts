import type { Client } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { connectTemporal } from '../../infra/temporal/connection';
import { startLocalServer } from '../../infra/temporal/local-server';
import { ensureTool } from '../../infra/tools/ensure-tool';
import { freePorts } from './ports';
import { quietRuntime } from './time-skipping';

export interface TestServer {
  readonly address: string;
  readonly namespace: string;
  readonly client: Client;
  readonly nativeConnection: NativeConnection;
  stop(): Promise<void>;
}

/** A real Temporal server in memory, on a free port, with our search attributes. */
export async function startTemporalServer(namespace = 'slipway-test'): Promise<TestServer> {
  quietRuntime();
  const binary = await ensureTool('temporal-cli');
  const [port] = await freePorts(1);
  const server = await startLocalServer({ binary, port: port!, uiPort: null, databaseFile: null, namespace });
  const { address } = server;
  const temporal = await connectTemporal({ address, namespace });
  const nativeConnection = await NativeConnection.connect({ address });
  return {
    address,
    namespace,
    client: temporal.client,
    nativeConnection,
    stop: async () => {
      await nativeConnection.close();
      await temporal.close();
      await server.stop();
    },
  };
}
