import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { type NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker';
import { workflowBundlePath } from '../../infra/temporal/bundle';
import { updateAcrossRuns } from '../../infra/temporal/updates';
import type { CommandAction } from '../../workflows/domain/approval';
import type { Envelope } from '../../workflows/domain/envelope';
import { TASK_QUEUES, type TaskQueue, workflowIds } from '../../workflows/domain/names';
import type { ReleaseRef } from '../../workflows/domain/release';
import type { RunRequest } from '../../workflows/domain/run';
import {
  commandUpdate,
  DEPLOYMENT,
  type DeploymentInput,
  type DeploymentStatus,
  releaseUpdate,
  statusQuery,
} from '../../workflows/deployment.messages';
import { LIFECYCLE, type LifecycleInput, type LifecycleStatus, type Receipt } from '../../workflows/lifecycle.messages';
import { fakeCommand } from './fake-documents';
import { activitiesOfWorlds, FakeWorld } from './fake-world';

export interface Server {
  readonly client: Client;
  readonly nativeConnection: NativeConnection;
  readonly namespace?: string | undefined;
}

/** Workers of the real workflow code over fake activities, and the calls that tests make. Each test has a model of its own. */
export class WorkflowBench {
  readonly worlds = new Map<string, FakeWorld>();
  private readonly workers: { worker: Worker; run: Promise<void> }[] = [];

  constructor(private readonly server: Server) {}

  get client(): Client {
    return this.server.client;
  }

  /** Workers for the queues; leaving one out is a worker that is away. */
  async startWorkers(queues: readonly TaskQueue[] = [TASK_QUEUES.control, TASK_QUEUES.compute]): Promise<void> {
    for (const taskQueue of queues) {
      const isControl = taskQueue === TASK_QUEUES.control;
      await this.start({
        taskQueue,
        ...(isControl ? { workflowBundle: { codePath: await workflowBundlePath() } } : {}),
      });
    }
  }

  /** Activities only, for workflow code that runs in another process. */
  async startActivityWorkers(): Promise<void> {
    for (const taskQueue of [TASK_QUEUES.control, TASK_QUEUES.compute]) await this.start({ taskQueue });
  }

  private async start(options: Omit<WorkerOptions, 'connection' | 'namespace' | 'activities'>): Promise<void> {
    const { nativeConnection: connection, namespace } = this.server;
    const worker = await Worker.create({
      connection,
      ...(namespace === undefined ? {} : { namespace }),
      activities: activitiesOfWorlds(this.worlds),
      maxHeartbeatThrottleInterval: 200,
      ...options,
    });
    this.workers.push({ worker, run: worker.run() });
  }

  async stopWorkers(): Promise<void> {
    const workers = this.workers.splice(0);
    for (const { worker } of workers) worker.shutdown();
    await Promise.all(workers.map(({ run }) => run));
  }

  world(model = `test/m-${randomUUID().slice(0, 12)}`): FakeWorld {
    const world = new FakeWorld(model);
    this.worlds.set(model, world);
    return world;
  }

  async startLifecycle(request: RunRequest) {
    const input: LifecycleInput = { request, command: fakeCommand(request.model, 'run', { run: request.run }) };
    return this.client.workflow.start(LIFECYCLE, {
      workflowId: workflowIds.lifecycle(request.model, request.run),
      taskQueue: TASK_QUEUES.control,
      args: [input],
    });
  }

  async startDeployment(model: string, over: Partial<DeploymentInput> = {}) {
    return this.client.workflow.start(DEPLOYMENT, {
      workflowId: workflowIds.deployment(model),
      taskQueue: TASK_QUEUES.control,
      args: [{ model, queue: [], seen: [], ...over }],
    });
  }

  async command(
    model: string,
    action: CommandAction,
    args: Readonly<Record<string, unknown>> = {},
    updateId: string = randomUUID(),
    signer?: string,
  ): Promise<Receipt> {
    const handle = this.client.workflow.getHandle(workflowIds.deployment(model));
    return updateAcrossRuns<Receipt, [Envelope]>(handle, commandUpdate, {
      args: [fakeCommand(model, action, args, signer)],
      updateId,
    });
  }

  async release(release: ReleaseRef, run: string | null = null, updateId: string = release.digest): Promise<Receipt> {
    const handle = this.client.workflow.getHandle(workflowIds.deployment(release.model));
    return updateAcrossRuns<Receipt, [Envelope]>(handle, releaseUpdate, {
      args: [fakeCommand(release.model, 'release', { release, run })],
      updateId,
    });
  }

  /** A deployment whose champion is release 2, which followed release 1. */
  async deployed(script: (world: FakeWorld) => void = () => undefined): Promise<FakeWorld> {
    const world = this.world();
    world.serve(1, 2);
    script(world);
    await this.startDeployment(world.model);
    return world;
  }

  /** Waits until a canary is being watched at the step. */
  async watching(world: FakeWorld, step = 0): Promise<void> {
    const isWatched = ({ rollout }: DeploymentStatus): boolean =>
      rollout?.step === step && world.calls.includes('watchCanary');
    await eventually(() => this.deploymentStatus(world.model), isWatched);
  }

  async deploymentStatus(model: string): Promise<DeploymentStatus> {
    return this.client.workflow.getHandle(workflowIds.deployment(model)).query<DeploymentStatus>(statusQuery);
  }

  async lifecycleStatus(request: RunRequest): Promise<LifecycleStatus> {
    return this.client.workflow
      .getHandle(workflowIds.lifecycle(request.model, request.run))
      .query<LifecycleStatus>(statusQuery);
  }
}

/** Looks again until it holds. Throws with what was seen last. */
export async function eventually<T>(
  look: () => T | Promise<T>,
  holds: (seen: T) => boolean,
  timeoutMs = 20_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const seen = await look();
    if (holds(seen)) return seen;
    if (Date.now() > deadline)
      throw new Error(`did not come to hold in ${timeoutMs} ms; last seen: ${JSON.stringify(seen)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Waits for the ends of so many rollouts. */
export async function ended(world: FakeWorld, count = 1): Promise<readonly string[]> {
  return eventually(
    () => world.outcomes,
    (outcomes) => outcomes.length >= count,
  );
}

/** What the challenger got under each route since `WorkflowBench.deployed`, oldest first. */
export function challengerShares(world: FakeWorld): number[] {
  return world.routes.slice(2).map((plan) => plan.arms.find((arm) => arm.name === 'challenger')?.weight ?? 0);
}
