import { ApplicationFailure } from '@temporalio/common';
import type { ApprovalDocument, CommandDocument, RecordedApproval } from '../../workflows/domain/approval';
import type { Digest } from '../../workflows/domain/digest';
import type { Envelope } from '../../workflows/domain/envelope';
import type { ErrorCode } from '../../workflows/domain/errors';
import type { LookResult } from '../../workflows/domain/monitoring';
import type { ReleaseRef } from '../../workflows/domain/release';
import type { CanaryReport, QualityReport, Rollout } from '../../workflows/domain/rollout';
import type { RouteState } from '../../workflows/domain/route';
import type {
  EvaluateResult,
  IngestResult,
  JudgedGates,
  RunPlan,
  RunRequest,
  TrainResult,
} from '../../workflows/domain/run';
import type { RolloutSpec } from '../../workflows/domain/spec';
import type {
  AdmittedCommand,
  DeploymentComputeActivities,
  DeploymentControlActivities,
  RecoveredDeployment,
  RoutePlan,
  WatchInput,
} from '../../workflows/deployment.activities';
import type {
  ApprovalReceipt,
  LifecycleComputeActivities,
  LifecycleControlActivities,
  RecordApprovalInput,
  TrainingActivities,
} from '../../workflows/lifecycle.activities';
import type { MonitorComputeActivities, MonitorControlActivities } from '../../workflows/monitor.activities';
import {
  auditRef,
  canaryReport,
  DAY_MS,
  digestFor,
  documentOf,
  qualityReport,
  releaseRef,
  ROLLOUT_SPEC,
} from './fake-documents';

export type AllActivities = LifecycleControlActivities &
  LifecycleComputeActivities &
  TrainingActivities &
  DeploymentControlActivities &
  DeploymentComputeActivities &
  MonitorComputeActivities &
  MonitorControlActivities;

/** What the fakes of one model do; a test changes what its case is about. */
export interface Script {
  plan: Partial<RunPlan>;
  gatesPass: boolean;
  rollout: RolloutSpec;
  /** By step and how often it was watched before. */
  canary: (input: WatchInput, watched: number) => CanaryReport | Promise<CanaryReport>;
  quality: (input: WatchInput, watched: number) => QualityReport | Promise<QualityReport>;
  handOver: { accepted: boolean; code?: ErrorCode; detail: string } | null;
  look: LookResult;
  retrainRun: string | null;
  refusedRelease: number | null;
  unfinished: RecoveredDeployment['unfinished'];
  /** Thrown by activities, by name, as often as listed. */
  failures: Partial<Record<keyof AllActivities, ApplicationFailure[]>>;
}

/** In-memory store and activities of one model: routes by generation, and everything that was called. */
export class FakeWorld implements AllActivities {
  readonly routes: RoutePlan[] = [];
  readonly calls: string[] = [];
  readonly rolloutEvents: { event: string; outcome: string | null; detail: string; actor: string }[] = [];
  readonly outcomes: string[] = [];
  readonly approvals: RecordedApproval[] = [];
  readonly refusedApprovals: ErrorCode[] = [];
  readonly withdrawn: string[] = [];
  private readonly watched = new Map<string, number>();
  readonly script: Script = {
    plan: {},
    gatesPass: true,
    rollout: ROLLOUT_SPEC,
    canary: () => canaryReport('pass'),
    quality: () => qualityReport('pass'),
    handOver: { accepted: true, detail: 'begins' },
    look: { decision: 'healthy', detail: 'nothing moved', report: digestFor('look'), retrainAsOf: null },
    retrainRun: null,
    refusedRelease: null,
    unfinished: null,
    failures: {},
  };

  constructor(readonly model: string) {}

  request(run = 'r-0123456789-1', over: Partial<RunRequest> = {}): RunRequest {
    return {
      schema: 'slipway.run/1',
      workspace: 'test',
      model: this.model,
      run,
      attempt: 1,
      cause: 'manual',
      commit: 'abc',
      spec: digestFor('spec'),
      asOf: '2001-03-01T00:00:00Z',
      imported: null,
      from: null,
      evidence: null,
      requestedAt: '2001-03-01T00:00:00Z',
      ...over,
    };
  }

  called(name: keyof AllActivities): void {
    this.calls.push(name);
    const failure = this.script.failures[name]?.shift();
    if (failure) throw failure;
  }

  /** Puts a champion in place, as an earlier rollout would have. */
  serve(...versions: number[]): void {
    for (const version of versions)
      this.routes.push(planOf(this.model, this.routes.length, releaseRef(this.model, version)));
  }

  get served(): { generation: number; arms: Record<string, [number, number]>; state: RouteState } {
    const plan = this.routes.at(-1)!;
    const arms = Object.fromEntries(
      plan.arms.map((arm) => [arm.name, [arm.release.version, arm.weight] as [number, number]]),
    );
    return { generation: this.routes.length, arms, state: plan.state };
  }

  async admitRun(): Promise<RunPlan> {
    this.called('admitRun');
    return {
      trainingQueue: 'slipway-compute',
      trainingTimeoutMs: 60_000,
      approvalsRequired: 2,
      approvalsWithinMs: 7 * DAY_MS,
      startedBy: 'person:developer',
      audit: auditRef,
      ...this.script.plan,
    };
  }

  async ingest(): Promise<IngestResult> {
    this.called('ingest');
    return {
      manifest: digestFor('manifest'),
      snapshot: digestFor('snapshot'),
      rows: { train: 80, validation: 10, holdout: 10, quarantined: 0 },
    };
  }

  async train(): Promise<TrainResult> {
    this.called('train');
    return {
      onnx: digestFor('onnx'),
      signature: digestFor('signature'),
      machineClass: 'x',
      trainer: 'logistic',
      epochs: 3,
      resumedFromEpoch: 0,
    };
  }

  async openImported(): Promise<TrainResult> {
    this.called('openImported');
    return {
      onnx: digestFor('imported'),
      signature: digestFor('signature'),
      machineClass: 'x',
      trainer: 'import',
      epochs: 0,
      resumedFromEpoch: 0,
    };
  }

  async evaluate(): Promise<EvaluateResult> {
    this.called('evaluate');
    return { evidence: digestFor('draft'), samples: digestFor('samples'), metrics: { auc: 0.7 } };
  }

  async judgeGates(): Promise<JudgedGates> {
    this.called('judgeGates');
    const outcome = this.script.gatesPass ? 'pass' : 'fail';
    const gate = { gate: 'auc at least 0.6', outcome, value: 0.7, bound: 0.6, detail: 'measured on 10 rows' } as const;
    return { passed: this.script.gatesPass, gates: [gate], evidence: digestFor('evidence'), audit: auditRef };
  }

  async registerRelease(): Promise<ReleaseRef> {
    this.called('registerRelease');
    return releaseRef(this.model, 1);
  }

  async recordApproval(input: RecordApprovalInput): Promise<ApprovalReceipt> {
    this.called('recordApproval');
    const person = input.envelope.signatures[0]!.keyid;
    const document = documentOf<ApprovalDocument>(input.envelope);
    const refusal = whyRefused(input, document, person);
    if (refusal) {
      this.refusedApprovals.push(refusal);
      return { accepted: false, code: refusal, detail: `refused for ${person}` };
    }
    const approval = { person, decision: document.decision, at: '2001-03-02T00:00:00Z' };
    this.approvals.push(approval);
    return { accepted: true, approval };
  }

  async recordApprovalExpiry(): Promise<void> {
    this.called('recordApprovalExpiry');
  }

  async admitCancel(input: {
    command: Envelope;
  }): Promise<{ accepted: true; actor: string } | { accepted: false; code: ErrorCode; detail: string }> {
    this.called('admitCancel');
    const actor = input.command.signatures[0]!.keyid;
    if (actor === 'person:stranger') return { accepted: false, code: 'KEY_UNKNOWN', detail: 'no such key' };
    return { accepted: true, actor };
  }

  async handOver(): Promise<{ accepted: boolean; code?: ErrorCode; detail: string }> {
    this.called('handOver');
    return this.script.handOver!;
  }

  async withdrawRelease(input: { release: ReleaseRef }): Promise<void> {
    this.called('withdrawRelease');
    this.withdrawn.push(input.release.digest);
  }

  async finishRun(input: { outcome: string }): Promise<void> {
    this.called('finishRun');
    this.outcomes.push(input.outcome);
  }

  async recoverDeployment(): Promise<RecoveredDeployment> {
    this.called('recoverDeployment');
    const champions = this.routes.map((plan) => plan.arms.find((arm) => arm.name === 'champion')?.release ?? null);
    const champion = champions.at(-1) ?? null;
    const before = champions.filter((release) => release && release.digest !== champion?.digest).at(-1) ?? null;
    const state = this.routes.at(-1)?.state ?? 'serving';
    const { unfinished } = this.script;
    this.script.unfinished = null;
    return { generation: this.routes.length, champion, previousChampion: before, state, unfinished };
  }

  async admitCommand({ envelope }: { envelope: Envelope }): Promise<AdmittedCommand> {
    this.called('admitCommand');
    const actor = envelope.signatures[0]!.keyid;
    if (actor === 'person:stranger') return { accepted: false, code: 'KEY_UNKNOWN', detail: 'no such key' };
    const { action, args } = documentOf<CommandDocument>(envelope);
    return { accepted: true, action, args, actor, audit: auditRef };
  }

  async prepareRollout(input: {
    release: ReleaseRef;
    run: string | null;
    attempt: number;
  }): ReturnType<DeploymentControlActivities['prepareRollout']> {
    this.called('prepareRollout');
    const { release, run, attempt } = input;
    if (release.version === this.script.refusedRelease)
      return { accepted: false, code: 'RELEASE_UNAPPROVED', detail: 'one approval is missing' };
    const rollout: Rollout = {
      id: `rollout-${release.version}-${attempt}`,
      release,
      run,
      spec: this.script.rollout,
      clock: 'wall',
    };
    return { accepted: true, rollout, assignment: { source: 'request' } };
  }

  async verifyServable(input: { release: ReleaseRef }): ReturnType<DeploymentControlActivities['verifyServable']> {
    this.called('verifyServable');
    if (input.release.version === this.script.refusedRelease)
      return { ok: false, code: 'KEY_REVOKED', detail: 'its key is compromised' };
    return { ok: true };
  }

  async commitRoute(plan: RoutePlan): Promise<{ generation: number; digest: Digest }> {
    this.called('commitRoute');
    const standing = this.routes[plan.onGeneration];
    if (standing ? standing.intent !== plan.intent : plan.onGeneration !== this.routes.length) {
      throw ApplicationFailure.create({
        type: 'STORE_CONFLICT',
        message: `generation ${plan.onGeneration + 1} is another writer's`,
      });
    }
    if (!standing) this.routes.push(plan);
    return { generation: plan.onGeneration + 1, digest: digestFor(plan.intent) };
  }

  async watchCanary(input: WatchInput): Promise<CanaryReport> {
    this.called('watchCanary');
    return this.script.canary(input, this.count(`canary ${input.step}`));
  }

  async watchQuality(input: WatchInput): Promise<QualityReport> {
    this.called('watchQuality');
    return this.script.quality(input, this.count(`quality ${input.step}`));
  }

  async recordRollout(input: Parameters<DeploymentControlActivities['recordRollout']>[0]): Promise<void> {
    this.called('recordRollout');
    const { event, outcome, detail, actor = '' } = input;
    this.rolloutEvents.push({ event, outcome, detail, actor });
    if (event === 'ended') this.outcomes.push(outcome!);
  }

  async look(): Promise<LookResult> {
    this.called('look');
    return this.script.look;
  }

  async recordLook(): Promise<void> {
    this.called('recordLook');
  }

  async startRetrain(): Promise<string | null> {
    this.called('startRetrain');
    return this.script.retrainRun;
  }

  private count(key: string): number {
    const before = this.watched.get(key) ?? 0;
    this.watched.set(key, before + 1);
    return before;
  }
}

function whyRefused(input: RecordApprovalInput, document: ApprovalDocument, person: string): ErrorCode | null {
  if (!input.open) return 'APPROVAL_LATE';
  if (person === 'person:stranger') return 'KEY_UNKNOWN';
  if (person === input.startedBy) return 'APPROVAL_SELF';
  if (document.workspace !== input.request.workspace) return 'WORKSPACE_MISMATCH';
  if (document.release.digest !== input.release.digest || document.evidence !== input.evidence)
    return 'APPROVAL_MISMATCH';
  return input.recorded.some((approval) => approval.person === person) ? 'APPROVAL_DUPLICATE' : null;
}

function planOf(model: string, onGeneration: number, release: ReleaseRef): RoutePlan {
  return {
    model,
    onGeneration,
    intent: `setup/on-${onGeneration}`,
    reason: 'setup',
    actor: 'test',
    state: 'serving',
    arms: [{ name: 'champion', release, weight: 1 }],
    shadows: [],
    paired: false,
    rollout: null,
    evidence: [],
  };
}

const names = Object.getOwnPropertyNames(FakeWorld.prototype).filter(
  (name) => !['constructor', 'request', 'called', 'serve', 'served', 'count'].includes(name),
);

/** Activities for workers that serve many tests: each call goes to the world of the model that its input names. */
export function activitiesOfWorlds(
  worlds: ReadonlyMap<string, FakeWorld>,
): Record<string, (input: unknown) => Promise<unknown>> {
  return Object.fromEntries(
    names.map((name) => [name, async (input: unknown) => callWorld(worlds, name as keyof AllActivities, input)]),
  );
}

async function callWorld(
  worlds: ReadonlyMap<string, FakeWorld>,
  name: keyof AllActivities,
  input: unknown,
): Promise<unknown> {
  const { model, request, release } = input as { model?: string; request?: RunRequest; release?: ReleaseRef };
  const world = worlds.get(model ?? request?.model ?? release!.model);
  if (!world) throw ApplicationFailure.nonRetryable(`no fake world for ${JSON.stringify(input)}`);
  return (world[name] as (input: unknown) => Promise<unknown>)(input);
}
