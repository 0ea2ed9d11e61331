import { CancellationScope, upsertSearchAttributes } from '@temporalio/workflow';
import { activitiesOf, type Summarised } from './activity-presets';
import type { Digest } from './domain/digest';
import { type ErrorCode, ERRORS } from './domain/errors';
import { SEARCH_ATTRIBUTES } from './domain/names';
import type { ReleaseRef } from './domain/release';
import type { Arm, RouteState, ShadowArm } from './domain/route';
import type { AssignmentSpec } from './domain/spec';
import type { DeploymentControlActivities, RecoveredDeployment } from './deployment.activities';
import { describeDeployment } from './deployment-details';
import {
  type DeploymentInput,
  type DeploymentStatus,
  MAX_CARRIED_LINES,
  MAX_SEEN_IDS,
  type QueuedRelease,
  type SeenUpdate,
} from './deployment.messages';
import { failedWith, rethrowDefects } from './failures';
import { Inbox } from './inbox';
import type { HandOver, RolloutPreparation, RolloutProgress } from './rollout-progress';
import { setKeyword } from './search-attributes';
import { Story, type StoryLine } from './story';

/** Longer ids are not ours; the nonce still tells a replay. */
const MAX_ID_CHARS = 128;
/** Six seconds, with the waits between them. */
const ANSWER_ATTEMPTS = 6;
/** Losing more often than this means that somebody else writes routes all the time. */
const MAX_RACES = 5;

export type DeploymentMessage = 'command';

/** What a commit changes; the rest stays as it is. */
export interface RouteChange {
  /** Names what is done; unique together with the generation that it is done on. */
  readonly intent: string;
  readonly summary: string;
  readonly reason: string;
  readonly actor: string;
  readonly arms: readonly Arm[];
  readonly state?: RouteState;
  readonly shadows?: readonly ShadowArm[];
  readonly paired?: boolean;
  readonly rollout?: { readonly id: string; readonly step: number };
  readonly evidence?: readonly Digest[];
  readonly assignment?: AssignmentSpec;
}

/** What is in progress for one model, and the activities that the deployment calls. The truth about routes is the store's. */
export class Deployment {
  readonly model: string;
  readonly divisor: number;
  readonly inbox = new Inbox<DeploymentMessage>();
  readonly story: Story;
  readonly queue: QueuedRelease[];
  readonly seen: SeenUpdate[];
  private readonly ended: StoryLine[];
  readonly quick: Summarised<Pick<DeploymentControlActivities, 'recoverDeployment' | 'prepareRollout'>>;
  /** Whoever sent a command waits for the answer, and those behind it do: a command that cannot be checked is refused. */
  readonly answer: Summarised<Pick<DeploymentControlActivities, 'admitCommand' | 'verifyServable'>>;
  readonly record: Summarised<Pick<DeploymentControlActivities, 'recordRollout'>>;
  private readonly committing: Summarised<Pick<DeploymentControlActivities, 'commitRoute'>>;

  generation: number;
  champion: ReleaseRef | null;
  previousChampion: ReleaseRef | null;
  state: RouteState;
  rollout: RolloutProgress | null = null;
  /** What the store said at the last look of a rollout that its newest route shows. */
  unfinished: RecoveredDeployment['unfinished'] = null;
  /** False until the store was read; commands wait for it. */
  recovered = false;
  /** A command is being carried out: no rollout begins until it is. */
  acting = false;
  /** The release that is verified before its rollout begins. Never together with `rollout`. */
  preparation: RolloutPreparation | null = null;
  /** What keeps the deployment from acting until a person looks; null in health. */
  halted: string | null = null;

  constructor(private readonly input: DeploymentInput) {
    const divisor = input.timeoutDivisor ?? 1;
    this.model = input.model;
    this.divisor = divisor;
    this.queue = [...input.queue];
    this.seen = [...input.seen];
    this.quick = activitiesOf('quick', { divisor });
    this.answer = activitiesOf('quick', { divisor, attempts: ANSWER_ATTEMPTS });
    this.record = activitiesOf('storeCall', { divisor });
    this.committing = activitiesOf('irreversible', { divisor });
    this.ended = [...(input.ended ?? [])];
    this.generation = input.known?.generation ?? 0;
    this.champion = input.known?.champion ?? null;
    this.previousChampion = input.known?.previousChampion ?? null;
    this.state = input.known?.state ?? 'serving';
    this.story = new Story(() => describeDeployment(this.status()), this.ended);
  }

  /** Reads from the store what is so, whatever this workflow believed. */
  async recover(): Promise<RecoveredDeployment> {
    const recovered = await this.quick.recoverDeployment(`Read from the store what serves ${this.model}`, {
      model: this.model,
    });
    this.generation = recovered.generation;
    this.champion = recovered.champion;
    this.previousChampion = recovered.previousChampion;
    this.state = recovered.state;
    this.unfinished = recovered.unfinished;
    return recovered;
  }

  /**
   * The one place that commits (invariant I1). Never cancelled half-way: what was committed must be known. Throws STORE_CONFLICT when
   * another writer was first.
   */
  async commit(change: RouteChange): Promise<void> {
    const {
      intent,
      summary,
      state = this.state,
      shadows = [],
      paired = false,
      rollout = null,
      evidence = [],
      ...rest
    } = change;
    const plan = {
      model: this.model,
      onGeneration: this.generation,
      intent: `${intent}/on-${this.generation}`,
      ...{ ...rest, state, shadows, paired, rollout, evidence },
    };
    const done = await CancellationScope.nonCancellable(() =>
      this.committing.commitRoute(`Commit generation ${this.generation + 1}: ${summary}`, plan),
    );
    this.generation = done.generation;
    this.state = state;
    this.unfinished = null;
    this.story.tell(`Generation ${done.generation}: ${summary}`);
  }

  /**
   * Commits what must come to be whoever else writes: after a lost race it reads what is so and decides anew. `decide` gives null when
   * nothing is left to do.
   */
  async commitOver(decide: () => RouteChange | null): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const change = decide();
      if (change === null) return;
      try {
        return await this.commit(change);
      } catch (error) {
        rethrowDefects(error);
        if (attempt === MAX_RACES || !failedWith(error, 'STORE_CONFLICT')) throw error;
        await this.recover();
      }
    }
  }

  get handOver(): HandOver | null {
    return (this.preparation ?? this.rollout)?.handOver ?? null;
  }

  /** The release on its way to serve, being verified or on trial. */
  get inHand(): ReleaseRef | null {
    return this.handOver?.release ?? null;
  }

  /** Retired with a release to come back to; before its first champion a model serves nobody either, but takes releases. */
  get isRetired(): boolean {
    return this.state === 'retired' && this.champion !== null;
  }

  get takesReleases(): boolean {
    return this.state !== 'frozen' && !this.isRetired;
  }

  enter(stage: string, text: string): void {
    upsertSearchAttributes([setKeyword(SEARCH_ATTRIBUTES.stage, stage)]);
    this.story.tell(text);
  }

  /** Tells how a rollout ended, in this run and in the next ones. */
  tellEnd(text: string): void {
    this.enter('ended', text);
    this.ended.push(this.story.lines.at(-1)!);
    if (this.ended.length > MAX_CARRIED_LINES) this.ended.shift();
  }

  remember(id: string, accepted: boolean, code: ErrorCode | null): void {
    // What could not be checked may be sent again.
    if (id === '' || id.length > MAX_ID_CHARS || (code !== null && ERRORS[code].retryable)) return;
    this.seen.push({ id, accepted, code });
    if (this.seen.length > MAX_SEEN_IDS) this.seen.shift();
  }

  /** Bounded plain JSON: the input of the next run. */
  carryOver(): DeploymentInput {
    const { queue, seen, ended, generation, champion, previousChampion, state } = this;
    return { ...this.input, queue, seen, ended, known: { generation, champion, previousChampion, state } };
  }

  status(): DeploymentStatus {
    const { model, generation, champion, previousChampion } = this;
    return {
      ...{ model, generation, champion, previousChampion },
      frozen: this.state === 'frozen',
      state: this.state,
      halted: this.halted,
      queued: this.queue.map((queued) => queued.release),
      rollout: this.rollout?.status() ?? null,
      story: this.story.lines,
    };
  }
}
