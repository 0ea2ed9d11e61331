import { currentUpdateInfo, defineQuery, defineUpdate, setHandler } from '@temporalio/workflow';
import type { Envelope } from './domain/envelope';
import type { Deployment } from './deployment-state';
import {
  commandUpdate,
  type DeploymentStatus,
  releaseUpdate,
  type SeenUpdate,
  statusQuery,
} from './deployment.messages';
import type { Receipt } from './lifecycle.messages';

/** Registers the handlers, which only put into the inbox and wait for the receipt. */
export function receiveCommands(deployment: Deployment): void {
  for (const name of [releaseUpdate, commandUpdate]) {
    setHandler(defineUpdate<Receipt, [Envelope]>(name), (envelope) => receive(deployment, envelope), {
      validator: (envelope) => deployment.inbox.check(envelope),
      description: 'A signed command; answers with a receipt or the reason against',
    });
  }
  setHandler(defineQuery<DeploymentStatus>(statusQuery), () => deployment.status());
}

/** Temporal answers a repeated update within one run; across continue-as-new the ids that were carried do. */
async function receive(deployment: Deployment, envelope: Envelope): Promise<Receipt> {
  const id = currentUpdateInfo()?.id ?? '';
  const before = deployment.seen.find((seen) => seen.id === id);
  return before ? repeat(before) : deployment.inbox.receiptFor(id, 'command', envelope);
}

function repeat(before: SeenUpdate): Receipt {
  if (before.accepted) return { accepted: true, detail: 'was accepted before' };
  return { accepted: false, code: before.code ?? 'COMMAND_REFUSED', detail: 'was refused before' };
}
