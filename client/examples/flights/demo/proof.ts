import { parseModelName } from '../../../../workflows/domain/names';
import { auditEntries, type Demo, MODEL } from './context';

interface VerifyOutput {
  readonly entries: number;
  readonly effects: number;
  readonly problems: readonly unknown[];
}

interface ServedOutput {
  readonly champion: {
    readonly release: { readonly version: number };
    readonly approvals: readonly { readonly person: string }[];
    readonly evidence: string;
  } | null;
}

/** Act 6: the log proves itself, and answers the auditor's question. */
export async function proof(demo: Demo): Promise<void> {
  const { ledger, stack } = demo;
  ledger.begin('6. Proof: the audit log, and who decided what served on 20 March');
  const verified = await stack.cli(['audit', 'verify', MODEL, '--json']);
  const audit = JSON.parse(verified.stdout) as VerifyOutput;
  ledger.must(
    'slipway audit verify finds an unbroken chain',
    verified.exitCode === 0 && audit.problems.length === 0,
    `${audit.entries} entries, ${audit.effects} effects held against them, ${audit.problems.length} problems`,
  );
  const asked = await stack.cli(['history', MODEL, '--at', '2001-03-20T12:00:00Z', '--clock', 'event', '--json']);
  const served = JSON.parse(asked.stdout) as ServedOutput;
  const people = served.champion?.approvals.map((approval) => approval.person).sort() ?? [];
  ledger.must(
    'what served on 20 March has two names on it',
    asked.exitCode === 0 && people.length === 2,
    `release ${served.champion?.release.version ?? '-'}, approved by ${people.join(' and ')}, evidence ${served.champion?.evidence.slice(7, 19) ?? '-'}`,
  );
  const refused = (await auditEntries(demo)).filter(({ kind }) => kind === 'approval.refused').length;
  ledger.must(
    'refused approvals are in the log too',
    refused > 0,
    `${refused} refusal(s) in ${parseModelName(MODEL)?.project ?? ''}`,
  );
}
