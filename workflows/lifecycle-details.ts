import { shortDigest } from './domain/digest';
import { sayInstant } from './domain/instants';
import { type RunPlan, type RunRequest, type RunResult, type Stage, STAGES } from './domain/run';
import type { GateResult } from './domain/verdict';
import { counted } from './domain/wording';
import type { LifecycleStatus } from './lifecycle.messages';

/** Markdown for the Temporal UI: what the run does, why it waits, for whom, and what one can do. Lists, because its tables have no gaps. */
export function describeRun(status: LifecycleStatus, request: RunRequest, plan: RunPlan | null): string {
  const head = `## ${headline(status)}\n\n${describeOrigin(status, request, plan)}`;
  return [head, drawStages(status.stage), ...describeNow(status), ...describeGates(status.gates)]
    .filter((part) => part !== '')
    .join('\n\n');
}

function headline(status: LifecycleStatus): string {
  const { model, release, stage } = status;
  const what = release ? `Release ${release.version} of ${model}` : model;
  if (stage === 'awaiting-approval') {
    const missing = missingApprovals(status);
    return missing > 0 ? `${what} waits for ${counted(missing, 'approval')}` : `${what} is approved`;
  }
  return stage === 'rolling-out' ? `${what} is being rolled out` : what;
}

function describeOrigin({ run }: LifecycleStatus, request: RunRequest, plan: RunPlan | null): string {
  const who = plan ? ` by ${plan.startedBy}` : '';
  return `Run \`${run}\`, cause **${request.cause}**, started ${sayInstant(request.requestedAt)}${who}, on data up to ${sayInstant(request.asOf)}.`;
}

/** Where it is on the way from data to production. */
function drawStages(current: Stage): string {
  if (current === 'finished') return '';
  return STAGES.filter((stage) => stage !== 'finished')
    .map((stage) => (stage === current ? `**${stage}**` : stage))
    .join(' › ');
}

function describeNow(status: LifecycleStatus): string[] {
  if (status.stage === 'awaiting-approval' && missingApprovals(status) > 0) return [describeApprovalWait(status)];
  if (status.stage === 'rolling-out') {
    return [
      status.detail,
      `Watch it in workflow \`deployment/${status.model}\`. Take it back: \`slipway rollback ${status.model}\``,
    ];
  }
  return [status.detail];
}

function describeApprovalWait(status: LifecycleStatus): string {
  const { model, run, approvals, approvalsRequired, approvalDeadline, evidence } = status;
  const so = approvals.map(
    ({ person, decision, at }) =>
      `- ${person} ${decision === 'approve' ? 'approved' : 'rejected'} it, ${sayInstant(at)}`,
  );
  const until = approvalDeadline === null ? '' : `, until ${sayInstant(approvalDeadline)}`;
  return [
    `**Waits for people: ${approvals.length} of ${counted(approvalsRequired, 'approval')} ${approvalsRequired === 1 ? 'is' : 'are'} in**${until}. Evidence \`${evidence === null ? '?' : shortDigest(evidence)}\`.`,
    ...(so.length === 0 ? [] : ['', ...so]),
    '',
    'Whoever has the role approver and did not start this run decides, with their own key:',
    '',
    `- approve: \`slipway approve ${model} --run ${run} --key KEY\``,
    `- reject: \`slipway reject ${model} --run ${run} --key KEY --comment "why"\``,
    '- to send it from this page: the same with `--print-signal`, then *More Actions*, *Send a Signal*',
  ].join('\n');
}

function missingApprovals({ approvals, approvalsRequired }: LifecycleStatus): number {
  return Math.max(0, approvalsRequired - approvals.filter(({ decision }) => decision === 'approve').length);
}

function describeGates(gates: readonly GateResult[]): string[] {
  if (gates.length === 0) return [];
  const lines = gates.map(({ gate, outcome, detail }) => `- **${outcome}** · ${gate}: ${detail}`);
  return [['### Gates', '', ...lines].join('\n')];
}

/** One sentence on how a run ended. */
export function describeResult(result: RunResult): string {
  return `Ended: ${result.outcome}. ${result.detail}`;
}
