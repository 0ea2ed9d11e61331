import { NativeConnection } from '@temporalio/worker';
import type { SlipwayConfig } from '../config/config';
import { temporalUnavailable } from './connection';

/** For workers; in a file of its own because it loads the SDK's native core. Throws TEMPORAL_UNAVAILABLE. */
export async function connectWorker(settings: SlipwayConfig['temporal']): Promise<NativeConnection> {
  try {
    return await NativeConnection.connect({ address: settings.address });
  } catch (error) {
    throw temporalUnavailable(settings.address, error);
  }
}
