import type { RunPlan, RunRequest, RunResult } from './domain/run';
import type { GateResult } from './domain/verdict';
import type { LifecycleStatus } from './lifecycle.messages';

/** Markdown for the Temporal UI: what the run does, why it waits, for whom, and what one can do. */
export function describeRun(status: LifecycleStatus, request: RunRequest, plan: RunPlan | null): string {
  const who = plan ? `, started by ${plan.startedBy}` : '';
  const head = `## ${status.model}, run ${status.run}\n${request.cause}${who}; data up to ${request.asOf}; stage **${status.stage}**`;
  return [head, status.detail, ...describeWait(status), ...describeGates(status.gates)]
    .filter((part) => part !== '')
    .join('\n\n');
}

function describeWait(status: LifecycleStatus): string[] {
  if (status.stage === 'awaiting-approval') return [describeApprovalWait(status)];
  if (status.stage === 'rolling-out') {
    return [
      `The rollout is in the workflow \`deployment/${status.model}\`. Take it back: \`slipway rollback ${status.model}\``,
    ];
  }
  return [];
}

function describeApprovalWait(status: LifecycleStatus): string {
  const decided = status.approvals.map((approval) => `- ${approval.person}: ${approval.decision}, ${approval.at}`);
  const missing = status.approvalsRequired - status.approvals.length;
  return [
    `**Waits for ${missing} more approval${missing === 1 ? '' : 's'}** of release ${status.release?.version ?? '?'} (evidence \`${status.evidence ?? '?'}\`) until ${status.approvalDeadline ?? '?'}.`,
    'By people who have the role approver and did not start the run:',
    `- approve: \`slipway approve ${status.model} ${status.run}\``,
    `- reject: \`slipway reject ${status.model} ${status.run}\``,
    `- by signal from here: \`slipway approve ${status.model} ${status.run} --print-signal\``,
    ...decided,
  ].join('\n');
}

function describeGates(gates: readonly GateResult[]): string[] {
  if (gates.length === 0) return [];
  const rows = gates.map((gate) => `| ${gate.gate} | ${gate.outcome} | ${shown(gate.value)} | ${shown(gate.bound)} |`);
  return [['| gate | outcome | value | bound |', '|---|---|---|---|', ...rows].join('\n')];
}

function shown(value: number | null): string {
  return value === null ? '–' : String(Number(value.toPrecision(5)));
}

/** One sentence on how a run ended. */
export function describeResult(result: RunResult): string {
  return `Ended: ${result.outcome}. ${result.detail}`;
}
