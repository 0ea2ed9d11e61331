import { type Connection, isGrpcServiceError } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time';

const RETENTION_MS = 30 * 24 * 3_600_000;
/** gRPC status code 6. */
const ALREADY_EXISTS = 6;

/** Creates the namespace where it does not exist. Histories are kept 30 days; the audit log is what lasts. */
export async function ensureNamespace(connection: Connection, namespace: string): Promise<'created' | 'existed'> {
  try {
    await connection.workflowService.registerNamespace({
      namespace,
      description: 'Slipway workspace',
      workflowExecutionRetentionPeriod: msToTs(RETENTION_MS),
    });
    return 'created';
  } catch (error) {
    if (isGrpcServiceError(error) && Number(error.code) === ALREADY_EXISTS) return 'existed';
    throw error;
  }
}
