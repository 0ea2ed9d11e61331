import { randomUUID } from 'node:crypto';
import {
  type Client,
  isGrpcServiceError,
  WithStartWorkflowOperation,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import { ApplicationFailure, type Workflow } from '@temporalio/common';
import { signControlCommand } from '../../infra/runs/control-command';
import type { Signer } from '../../infra/signing/port';
import { deploymentStart } from '../../infra/temporal/start-options';
import { updateAcrossRuns } from '../../infra/temporal/updates';
import {
  commandUpdate,
  DEPLOYMENT,
  type DeploymentInput,
  type Receipt,
  releaseUpdate,
} from '../../workflows/deployment.messages';
import type { CommandAction } from '../../workflows/domain/approval';
import type { Envelope } from '../../workflows/domain/envelope';
import { ERRORS, isErrorCode, SlipwayError } from '../../workflows/domain/errors';
import { type ModelName, workflowIds } from '../../workflows/domain/names';
import type { LifecycleControlActivities } from '../../workflows/lifecycle.activities';

export interface ReleaseHandoverPorts {
  readonly client: Client;
  readonly signer: Signer;
  readonly workspace: string;
  readonly timeoutDivisor: number;
  readonly clock?: () => Date;
}

/** Temporal gives the answer to an update id for ever, also "try again later": so a new try has a new id. */
const MAX_TRIES = 10;

export function createReleaseHandover(
  ports: ReleaseHandoverPorts,
): Pick<LifecycleControlActivities, 'handOver' | 'withdrawRelease'> {
  return {
    async handOver({ request, release }) {
      const args = { release, run: request.run };
      for (let attempt = 1; ; attempt += 1) {
        const id = attempt === 1 ? release.digest : `${release.digest}/${attempt}`;
        const receipt = await sendRelease(ports, request.model, id, args);
        if (receipt.accepted || !ERRORS[receipt.code].retryable) return receipt;
        if (attempt === MAX_TRIES) throw new SlipwayError(receipt.code, receipt.detail);
      }
    },

    async withdrawRelease({ request, release, reason }) {
      const id = `withdraw/${release.digest}`;
      const envelope = sign(ports, 'abort', request.model, { release, reason });
      const handle = ports.client.workflow.getHandle(workflowIds.deployment(request.model));
      try {
        await updateAcrossRuns<Receipt, [Envelope]>(handle, commandUpdate, { updateId: id, args: [envelope] });
      } catch (error) {
        // Nothing was handed over: there is nothing to take back.
        if (!(error instanceof WorkflowNotFoundError)) throw asSlipwayError(error);
      }
    },
  };
}

async function sendRelease(
  ports: ReleaseHandoverPorts,
  model: ModelName,
  id: string,
  args: Readonly<Record<string, unknown>>,
): Promise<Receipt> {
  const envelope = sign(ports, 'release', model, args);
  const input: DeploymentInput = { model, queue: [], seen: [], timeoutDivisor: ports.timeoutDivisor };
  const startWorkflowOperation = new WithStartWorkflowOperation(DEPLOYMENT, {
    ...deploymentStart(model),
    args: [input],
  });
  try {
    return await ports.client.workflow.executeUpdateWithStart<Workflow, Receipt, [Envelope]>(releaseUpdate, {
      updateId: id,
      args: [envelope],
      startWorkflowOperation,
    });
  } catch (error) {
    throw asSlipwayError(error);
  }
}

/** A new nonce each time: what was handed over before is known by its update id and by the release it names. */
function sign(
  ports: ReleaseHandoverPorts,
  action: CommandAction,
  model: ModelName,
  args: Readonly<Record<string, unknown>>,
): Envelope {
  const command = { workspace: ports.workspace, action, target: model, args, nonce: randomUUID() };
  return signControlCommand(ports.signer, command, ports.clock?.() ?? new Date());
}

/** A refusal by the update's validator carries its code; what Temporal itself answers is tried again. */
function asSlipwayError(error: unknown): Error {
  if (error instanceof WorkflowUpdateFailedError && error.cause instanceof ApplicationFailure) {
    const { type, message } = error.cause;
    if (type && isErrorCode(type)) return new SlipwayError(type, message, { cause: error });
  }
  if (isGrpcServiceError(error)) return new SlipwayError('TEMPORAL_UNAVAILABLE', error.details, { cause: error });
  return error instanceof Error ? error : new Error(String(error));
}
