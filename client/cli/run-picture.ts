import { STAGES } from '../../workflows/domain/run';
import type { GateResult, Verdict } from '../../workflows/domain/verdict';
import { counted } from '../../workflows/domain/wording';
import type { DeploymentStatus } from '../../workflows/deployment.messages';
import type { LifecycleStatus } from '../../workflows/lifecycle.messages';
import { formatNumber } from './output';

/** What one frame of `slipway watch` is drawn from. */
export interface RunPicture {
  readonly run: LifecycleStatus;
  readonly deployment: DeploymentStatus | null;
  readonly nowMs: number;
}

const BAR_WIDTH = 30;
const STORY_LINES = 6;

/** Lines of one frame, none longer than `columns`. Plain text: colour would only repeat what the words say. */
export function drawRun({ run, deployment, nowMs }: RunPicture, columns: number): string[] {
  const lines = [
    `${run.model}  run ${run.run}`,
    '',
    ...drawStages(run, columns),
    `  ${run.detail}`,
    ...drawDecision(run, nowMs),
    ...section('rollout', drawRollout(run, deployment)),
    ...section(
      'story',
      run.story.slice(-STORY_LINES).map(({ at, text }) => `${at.slice(11, 19)}  ${text}`),
    ),
  ];
  return lines.map((line) => clip(line, columns));
}

/** Gates, approvals and what to type next: what somebody needs who is to decide. */
export function drawDecision(run: LifecycleStatus, nowMs: number): string[] {
  return [...section('gates', run.gates.map(drawGate)), ...section('approvals', drawApprovals(run, nowMs))];
}

/** `[x]` done, `[>]` now, `[!]` where it ended without a promotion, `[ ]` not come to; on as many lines as it takes. */
function drawStages({ stage: current, ended }: LifecycleStatus, columns: number): string[] {
  const stopped = ended && ended.outcome !== 'promoted' ? ended.stage : null;
  const at = STAGES.indexOf(stopped ?? current);
  const here = stopped === null ? '>' : '!';
  const boxes = STAGES.filter((stage) => stage !== 'finished').map(
    (stage, index) => `[${index < at ? 'x' : index === at ? here : ' '}] ${stage}`,
  );
  const lines: string[] = [];
  for (const box of boxes) {
    const longer = lines.length === 0 ? box : `${lines.at(-1)}  ${box}`;
    if (lines.length > 0 && longer.length <= columns) lines[lines.length - 1] = longer;
    else lines.push(box);
  }
  return lines;
}

function drawGate(gate: GateResult): string {
  const said = gate.detail || `${formatNumber(gate.value)} (bound ${formatNumber(gate.bound)})`;
  return `${gate.outcome.padEnd(14)} ${gate.gate}: ${said}`;
}

function drawApprovals(run: LifecycleStatus, nowMs: number): string[] {
  if (run.approvalsRequired === 0) return [];
  const given = run.approvals.map((approval) => `${approval.decision} by ${approval.person} at ${approval.at}`);
  const waits =
    run.stage === 'awaiting-approval'
      ? [
          `${run.approvals.length} of ${counted(run.approvalsRequired, 'approval')}; ${drawTimeLeft(run.approvalDeadline, nowMs)}`,
        ]
      : [];
  const next =
    run.stage === 'awaiting-approval' ? [`next: slipway approve ${run.model} --run ${run.run} --key <key>`] : [];
  return [...waits, ...given, ...next];
}

function drawTimeLeft(deadline: string | null, nowMs: number): string {
  if (deadline === null) return 'no deadline';
  const minutes = Math.max(0, Math.round((Date.parse(deadline) - nowMs) / 60_000));
  return minutes >= 120 ? `${Math.floor(minutes / 60)} h left` : `${minutes} min left`;
}

function drawRollout(run: LifecycleStatus, deployment: DeploymentStatus | null): string[] {
  const rollout = deployment?.rollout;
  if (!rollout || rollout.run !== run.run) return [];
  const share = rollout.weights.challenger ?? 0;
  const filled = Math.round(share * BAR_WIDTH);
  const bar = `${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}`;
  const head = `release ${rollout.release.version}, step ${rollout.step + 1} of ${rollout.steps}  [${bar}] ${Math.round(share * 100)} % of callers${rollout.paused ? ', paused' : ''}`;
  return [head, ...rollout.verdicts.map(drawVerdict)];
}

export function drawVerdict(verdict: Verdict): string {
  const { statistic, bound, detail, resolves } = verdict;
  const needs = verdict.outcome === 'inconclusive' && resolves !== '' ? `; needs ${resolves}` : '';
  if (detail !== '') return `${verdict.outcome.padEnd(13)} ${verdict.check}: ${detail}${needs}`;
  const counts = Object.entries(verdict.counts).map(([name, count]) => `${name} ${count}`);
  const seen = counts.length === 0 ? '' : ` (${counts.join(', ')})`;
  return `${verdict.outcome.padEnd(13)} ${verdict.check}: ${statistic.name} ${formatNumber(statistic.value)}, ${bound.name} ${formatNumber(bound.value)}${seen}`;
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', title, ...lines.map((line) => `  ${line}`)];
}

function clip(line: string, columns: number): string {
  return line.length <= columns ? line : `${line.slice(0, Math.max(0, columns - 1))}…`;
}
