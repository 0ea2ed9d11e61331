import type { WorkflowHandle } from '@temporalio/client';
import { WorkflowNotFoundError, WorkflowUpdateStage } from '@temporalio/client';
import type { UpdateDefinition } from '@temporalio/common';

/**
 * An update's answer, of a workflow that may continue as new right after giving it. `executeUpdate` (client 1.24.0) asks whichever run
 * is the newest for the answer, and that one knows nothing of it; here the run that took the update is asked. A server that no longer
 * tells of that run gets the update once more: under the same id the workflow answers as it did.
 */
export async function updateAcrossRuns<Ret, Args extends [unknown, ...unknown[]]>(
  handle: WorkflowHandle,
  definition: UpdateDefinition<Ret, Args> | string,
  options: { readonly args: Args; readonly updateId: string },
): Promise<Ret> {
  const send = async (): Promise<Ret> => {
    const taken = await handle.startUpdate<Ret, Args>(definition, {
      ...options,
      waitForStage: WorkflowUpdateStage.ACCEPTED,
    });
    return taken.result();
  };
  try {
    return await send();
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
    return send();
  }
}
