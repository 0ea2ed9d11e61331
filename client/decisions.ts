import { randomUUID } from 'node:crypto';
import type { ApprovalDocument, CommandAction } from '../workflows/domain/approval';
import type { Envelope } from '../workflows/domain/envelope';
import { SlipwayError } from '../workflows/domain/errors';
import { type ModelName, TASK_QUEUES, workflowIds } from '../workflows/domain/names';
import {
  commandUpdate,
  DEPLOYMENT,
  type DeploymentInput,
  type DeploymentStatus,
  releaseUpdate,
  statusQuery,
} from '../workflows/deployment.messages';
import {
  approveSignal,
  approveUpdate,
  cancelRunUpdate,
  rejectSignal,
  rejectUpdate,
  type Receipt,
} from '../workflows/lifecycle.messages';
import { type Workflow, WorkflowNotFoundError } from '@temporalio/common';
import { WithStartWorkflowOperation } from '@temporalio/client';
import { type ClientPorts, DEFAULT_KEY } from './client-ports';
import { isDeployable, newestRun } from './run-list';
import { runStatus } from './runs';
import { signApproval, signCommand } from './signed-documents';

export interface DecideOptions {
  /** Default: the newest run of the model. */
  readonly run?: string;
  /** Name of the approver's private key. */
  readonly key: string;
  readonly comment?: string;
}

/** A signed decision, ready to be sent by any way. */
export interface PreparedDecision {
  readonly run: string;
  readonly workflowId: string;
  readonly envelope: Envelope;
  readonly update: string;
  readonly signal: string;
}

/** Signs a decision on what the run waits with: its release and evidence. Throws APPROVAL_LATE where it waits with none. */
export async function prepareDecision(
  ports: ClientPorts,
  model: ModelName,
  decision: ApprovalDocument['decision'],
  options: DecideOptions,
): Promise<PreparedDecision> {
  // First, so that a mistyped key is told whatever the run does.
  const signer = await ports.signer(options.key);
  const run = options.run ?? (await newestRun(ports.store, model)).request.run;
  const status = await runStatus(ports, model, run);
  if (!status.release || !status.evidence) {
    throw new SlipwayError('APPROVAL_LATE', `run ${run} is at ${status.stage} and waits for no approval`);
  }
  const envelope = signApproval(signer, {
    workspace: ports.config.workspace,
    decision,
    release: status.release,
    evidence: status.evidence,
    comment: options.comment ?? '',
  });
  const approve = decision === 'approve';
  return {
    run,
    workflowId: workflowIds.lifecycle(model, run),
    envelope,
    update: approve ? approveUpdate : rejectUpdate,
    signal: approve ? approveSignal : rejectSignal,
  };
}

/** Throws APPROVAL_LATE where the run ended: a workflow that is closed can refuse nothing itself. */
export async function sendDecision(ports: ClientPorts, prepared: PreparedDecision): Promise<Receipt> {
  const handle = ports.temporal.workflow.getHandle(prepared.workflowId);
  try {
    return await handle.executeUpdate<Receipt, [Envelope]>(prepared.update, {
      args: [prepared.envelope],
      updateId: randomUUID(),
    });
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
    throw new SlipwayError('APPROVAL_LATE', `run ${prepared.run} has ended`, { cause: error });
  }
}

/** The way of the Temporal UI and CLI: no receipt; what became of it is in the run's status and in the audit log. */
export async function signalDecision(ports: ClientPorts, prepared: PreparedDecision): Promise<void> {
  await ports.temporal.workflow.getHandle(prepared.workflowId).signal<[Envelope]>(prepared.signal, prepared.envelope);
}

export async function cancelRun(
  ports: ClientPorts,
  model: ModelName,
  run: string,
  reason: string,
  key = DEFAULT_KEY,
): Promise<Receipt> {
  const { workspace } = ports.config;
  const { envelope, nonce } = signCommand(await ports.signer(key), {
    workspace,
    action: 'cancelRun',
    target: model,
    args: { run, reason },
  });
  const handle = ports.temporal.workflow.getHandle(workflowIds.lifecycle(model, run));
  return handle.executeUpdate<Receipt, [Envelope]>(cancelRunUpdate, { args: [envelope], updateId: nonce });
}

/** A command to a misspelt model would otherwise start a deployment that waits for ever. With the store away the name is taken as it is. */
async function requireDeployable({ config, store }: ClientPorts, model: ModelName): Promise<void> {
  try {
    if (await isDeployable(store, model)) return;
  } catch (error) {
    if (error instanceof SlipwayError && error.code === 'STORE_UNAVAILABLE') return;
    throw error;
  }
  throw new SlipwayError('NOT_FOUND', `model ${model} has no release in workspace ${config.workspace}`);
}

/**
 * A signed operator command to the model's deployment, which is started where it does not run: it rebuilds itself from the store,
 * so that a rollback works after Temporal lost everything. Throws NOT_FOUND where the store knows no release or route of the model.
 */
export async function commandDeployment(
  ports: ClientPorts,
  model: ModelName,
  action: CommandAction,
  args: Readonly<Record<string, unknown>>,
  key = DEFAULT_KEY,
): Promise<Receipt> {
  await requireDeployable(ports, model);
  const { envelope, nonce } = signCommand(await ports.signer(key), {
    workspace: ports.config.workspace,
    action,
    target: model,
    args,
  });
  const input: DeploymentInput = { model, queue: [], seen: [], timeoutDivisor: ports.config.timeoutDivisor };
  return ports.temporal.workflow.executeUpdateWithStart<Workflow, Receipt, [Envelope]>(
    action === 'release' ? releaseUpdate : commandUpdate,
    {
      args: [envelope],
      updateId: nonce,
      startWorkflowOperation: new WithStartWorkflowOperation(DEPLOYMENT, {
        workflowId: workflowIds.deployment(model),
        taskQueue: TASK_QUEUES.control,
        args: [input],
        workflowIdConflictPolicy: 'USE_EXISTING',
      }),
    },
  );
}

/** Null where the model never was deployed. */
export async function deploymentStatus(ports: ClientPorts, model: ModelName): Promise<DeploymentStatus | null> {
  try {
    return await ports.temporal.workflow.getHandle(workflowIds.deployment(model)).query<DeploymentStatus>(statusQuery);
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}
