import type { Command } from 'commander';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { PreparedDecision } from '../../decisions';
import { withExample } from '../examples';
import { action, type Session } from '../session';
import { reportReceipt } from '../receipt';
import { findTemporal } from '../temporal-program';

interface DecideOptions {
  readonly run?: string;
  readonly key: string;
  readonly comment: string;
  readonly printSignal?: boolean;
}

export function addApprove(program: Command): void {
  const command = decisionCommand(program, 'approve', 'sign an approval of the release that a run waits with').action(
    action((session: Session, model: string, options: DecideOptions) => decide(session, 'approve', model, options)),
  );
  withExample(
    command,
    'slipway approve flights/late-arrival --key approver-1',
    'slipway approve flights/late-arrival --key approver-2 --print-signal',
  );
}

export function addReject(program: Command): void {
  const command = decisionCommand(
    program,
    'reject',
    'sign a rejection of the release that a run waits with; one is enough',
  ).action(
    action((session: Session, model: string, options: DecideOptions) => decide(session, 'reject', model, options)),
  );
  withExample(
    command,
    'slipway reject flights/late-arrival --key approver-1 --comment "holdout covers one month only"',
  );
}

function decisionCommand(program: Command, name: string, description: string): Command {
  return program
    .command(`${name} <model>`)
    .description(description)
    .requiredOption('--key <name>', 'private key of the person who decides')
    .option('--run <run>', 'run (default: the newest)')
    .option('--comment <text>', 'kept in the audit log', '')
    .option('--print-signal', 'print the `temporal` command that sends the signed decision, and send nothing');
}

async function decide(
  session: Session,
  decision: 'approve' | 'reject',
  model: string,
  options: DecideOptions,
): Promise<void> {
  const client = await session.client();
  const choice = {
    key: options.key,
    comment: options.comment,
    ...(options.run === undefined ? {} : { run: options.run }),
  };
  if (options.printSignal === true) {
    const prepared = await client.prepareDecision(model, decision, choice);
    const command = signalCommand(session, prepared, await temporalProgram());
    session.result({ command, workflowId: prepared.workflowId, signal: prepared.signal, input: prepared.envelope }, [
      command,
      '',
      `In the Temporal UI: open ${prepared.workflowId}, Send a Signal, name ${prepared.signal}, and paste as JSON:`,
      JSON.stringify(prepared.envelope),
    ]);
    return;
  }
  const receipt = await (decision === 'approve' ? client.approve(model, choice) : client.reject(model, choice));
  reportReceipt(session, receipt);
}

/** What a shell finds: `slipway up` keeps the program in a folder of its own, which is not on PATH. */
async function temporalProgram(): Promise<string> {
  const found = await findTemporal();
  if (found === undefined) return 'temporal';
  return /^[\w@%+=:,./-]+$/.test(found) ? found : `'${found.replaceAll("'", `'\\''`)}'`;
}

/** Exactly what a shell takes: the envelope is JSON of base64 and names, and holds no single quote. */
function signalCommand(session: Session, prepared: PreparedDecision, program: string): string {
  const { address, namespace } = session.config.temporal;
  const input = JSON.stringify(prepared.envelope);
  if (input.includes("'")) throw new SlipwayError('INTERNAL', 'a signed envelope holds a quote');
  return `${program} workflow signal --address ${address} --namespace ${namespace} --workflow-id '${prepared.workflowId}' --name ${prepared.signal} --input '${input}'`;
}
