import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { readHistory } from '../../../infra/audit/history';
import { verifyAudit } from '../../../infra/audit/verify';
import { loadTrust } from '../../../infra/signing/trust';
import type { AuditEntry, AuditRef } from '../../../workflows/domain/audit';
import { ERRORS, SlipwayError } from '../../../workflows/domain/errors';
import { withExample } from '../examples';
import { formatTable } from '../output';
import { action, type Session } from '../session';

interface ListOptions {
  readonly kind?: string;
  readonly last: string;
}

export function addAudit(program: Command): void {
  const audit = program.command('audit').description('the audit log: verify it, or read it');
  const verify = audit
    .command('verify <model>')
    .description('hold the chain against its checkpoints, its effects and what gateways remember')
    .option('--head <file>', 'JSON of a head {sequence, digest} that you wrote down earlier')
    .action(action(verify_));
  withExample(verify, 'slipway audit verify flights/late-arrival');
  const list = audit
    .command('list <model>')
    .description('decisions, oldest first')
    .option('--kind <kind>', 'only this kind, such as approval.recorded')
    .option('--last <count>', 'the newest so many', '50')
    .action(action(list_));
  withExample(list, 'slipway audit list flights/late-arrival --kind route.intended');
}

async function verify_(session: Session, model: string, options: { head?: string }): Promise<void> {
  const { store } = await session.client();
  const trust = await loadTrust(session.config.trustFile);
  const heads = options.head === undefined ? [] : [JSON.parse(await readFile(options.head, 'utf8')) as AuditRef];
  const verified = await verifyAudit(store, trust, model, { heads });
  if (verified.entries === 0 && verified.problems.length === 0)
    throw new SlipwayError('NOT_FOUND', `model ${model} has no audit log in workspace ${session.config.workspace}`);
  const summary = `${verified.entries} entries, ${verified.effects} effects, signed up to entry ${verified.signedUpTo}`;
  if (verified.problems.length === 0) {
    session.result(verified, [`verified: ${summary}`, `head: ${JSON.stringify(verified.head)}`]);
    return;
  }
  session.result(verified, [
    `AUDIT_BROKEN: ${summary}`,
    ...verified.problems.map((problem) => `  ${JSON.stringify(problem)}`),
    `next: ${ERRORS.AUDIT_BROKEN.advice}`,
  ]);
  session.exitWith(ERRORS.AUDIT_BROKEN.exit);
}

async function list_(session: Session, model: string, options: ListOptions): Promise<void> {
  const { store } = await session.client();
  const { entries } = await readHistory(store, model);
  const chosen = entries
    .filter((entry) => options.kind === undefined || entry.kind === options.kind)
    .slice(-Number(options.last));
  session.result(chosen, formatTable(['#', 'AT', 'KIND', 'BY', 'SUMMARY'], chosen.map(entryRow)));
}

function entryRow(entry: AuditEntry): string[] {
  return [String(entry.sequence), entry.at, entry.kind, entry.actor, entry.summary];
}
