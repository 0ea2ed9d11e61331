import { WorkflowExecutionAlreadyStartedError, WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure, WorkflowNotFoundError } from '@temporalio/common';
import { digestOf, digestOfJson } from '../infra/object-store/digest';
import { parseSpec } from '../infra/spec/parse';
import { lifecycleStart } from '../infra/temporal/start-options';
import type { Digest } from '../workflows/domain/digest';
import { SlipwayError } from '../workflows/domain/errors';
import { type Cause, type ModelName, workflowIds } from '../workflows/domain/names';
import type { ImportedModel, RunRequest, RunResult, Step } from '../workflows/domain/run';
import { runId, runIdentityText, runIdPrefix } from '../workflows/domain/run-identity';
import type { ModelSpec } from '../workflows/domain/spec';
import {
  LIFECYCLE,
  type LifecycleInput,
  type LifecycleStatus,
  type RunCommandArgs,
  statusQuery,
} from '../workflows/lifecycle.messages';
import { startOfTodayUtc } from './as-of';
import { type ClientPorts, DEFAULT_KEY } from './client-ports';
import { listRuns, readRun } from './run-list';
import { signCommand } from './signed-documents';

export interface StartRunOptions {
  /** Text of model.yaml and its path, from which relative paths in it start. */
  readonly specText: string;
  readonly specFile: string;
  /** Default `manual`. */
  readonly cause?: Cause;
  /** Commit of the spec and its code; part of the run's identity. */
  readonly commit: string;
  /** RFC 3339; rows with event time before it are known to the run. Default: today, 00:00 UTC, so that a repeated start joins. */
  readonly asOf?: string;
  /** Starts the next attempt of the same identity instead of joining the newest. */
  readonly retry?: boolean;
  /** With `retry`: results of the steps before this one are taken from the attempt before. */
  readonly from?: Step;
  readonly imported?: ImportedModel;
  readonly evidence?: Digest;
  /** Name of the private key that signs the command. Default `developer`. */
  readonly key?: string;
}

export interface StartedRun {
  readonly model: ModelName;
  readonly run: string;
  readonly workflowId: string;
  readonly spec: ModelSpec;
  /** It existed before, running or finished. */
  readonly joined: boolean;
}

/** A retry gives up looking for a free attempt after so many refused ones. */
const MAX_REFUSED = 100;

/** Starts a run, or joins the one with the same identity. Throws SPEC_INVALID, CONFIG_INVALID, TEMPORAL_UNAVAILABLE. */
export async function startRun(ports: ClientPorts, options: StartRunOptions): Promise<StartedRun> {
  const spec = parseSpec(options.specText, { file: options.specFile });
  const identity = {
    model: spec.model,
    commit: options.commit,
    spec: await ports.blobs.putJson(spec),
    asOf: normalizeInstant(options.asOf) ?? startOfTodayUtc(),
    imported: options.imported ?? null,
  };
  const digest = digestOf(Buffer.from(runIdentityText(identity), 'utf8'));
  const retry = options.retry === true;
  const { attempt, before } = await chooseAttempt(ports, spec.model, digest, retry);
  for (let next = attempt; ; next += 1) {
    const run = runId(digest, next);
    const request: RunRequest = {
      schema: 'slipway.run/1',
      workspace: ports.config.workspace,
      ...identity,
      run,
      attempt: next,
      cause: options.cause ?? 'manual',
      from: options.from !== undefined && before !== null ? { run: before, step: options.from } : null,
      evidence: options.evidence ?? null,
      requestedAt: new Date().toISOString(),
    };
    const joined = await startOrJoin(ports, request, options.key ?? DEFAULT_KEY);
    // A run that was refused left nothing in the store, but Temporal knows its id: a retry goes past it.
    if (joined && retry && next < attempt + MAX_REFUSED) continue;
    return { model: spec.model, run, workflowId: workflowIds.lifecycle(spec.model, run), spec, joined };
  }
}

/** The newest attempt, or with `retry` the one after it. */
async function chooseAttempt(
  ports: ClientPorts,
  model: ModelName,
  identity: Digest,
  retry: boolean,
): Promise<{ attempt: number; before: string | null }> {
  const attempts = (await listRuns(ports.store, model)).filter(({ request }) =>
    request.run.startsWith(runIdPrefix(identity)),
  );
  const newest = attempts.reduce((most, { request }) => Math.max(most, request.attempt), 0);
  if (newest === 0) return { attempt: 1, before: null };
  return { attempt: retry ? newest + 1 : newest, before: retry ? runId(identity, newest) : null };
}

/** True when the run existed. A finished one is known by the store, even where Temporal has forgotten it. */
async function startOrJoin(ports: ClientPorts, request: RunRequest, keyName: string): Promise<boolean> {
  const { model, run } = request;
  const known = await readRun(ports.store, model, run);
  if (known?.result) return true;
  const signer = await ports.signer(keyName);
  const args: RunCommandArgs = { run, request: digestOfJson(request) };
  const { envelope } = signCommand(signer, {
    workspace: request.workspace,
    action: 'run',
    target: model,
    args: { ...args },
  });
  const input: LifecycleInput = { request, command: envelope, timeoutDivisor: ports.config.timeoutDivisor };
  try {
    await ports.temporal.workflow.start(LIFECYCLE, {
      ...lifecycleStart(request),
      args: [input],
      workflowIdConflictPolicy: 'FAIL',
    });
    return false;
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return true;
    throw error;
  }
}

/** Result of a run once it ended. A run that failed or was refused is a result here, with its code. Throws NOT_FOUND. */
export async function waitForRun(ports: ClientPorts, model: ModelName, run: string): Promise<RunResult> {
  const stored = (await readRun(ports.store, model, run))?.result;
  if (stored) return stored;
  try {
    return (await ports.temporal.workflow.getHandle(workflowIds.lifecycle(model, run)).result()) as RunResult;
  } catch (error) {
    if (error instanceof WorkflowFailedError) return resultOfFailure(error, model, run);
    if (error instanceof WorkflowNotFoundError) throw noSuchRun(model, run, error);
    throw error;
  }
}

function noSuchRun(model: ModelName, run: string, cause: unknown): SlipwayError {
  const advice = `\`slipway status ${model}\` lists the runs of this model.`;
  return new SlipwayError('NOT_FOUND', `no run ${run} of ${model}`, { cause, advice });
}

/** The lifecycle fails with its result as the failure's details. */
function resultOfFailure(error: WorkflowFailedError, model: ModelName, run: string): RunResult {
  const details =
    error.cause instanceof ApplicationFailure ? (error.cause.details?.[0] as RunResult | undefined) : undefined;
  return (
    details ?? {
      model,
      run,
      outcome: 'failed',
      detail: error.cause?.message ?? error.message,
      version: null,
      code: 'INTERNAL',
    }
  );
}

/** What a run does now, asked of its workflow. Throws NOT_FOUND. */
export async function runStatus(ports: ClientPorts, model: ModelName, run: string): Promise<LifecycleStatus> {
  try {
    return await ports.temporal.workflow
      .getHandle(workflowIds.lifecycle(model, run))
      .query<LifecycleStatus>(statusQuery);
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) throw noSuchRun(model, run, error);
    throw error;
  }
}

function normalizeInstant(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const instant = new Date(text);
  if (Number.isNaN(instant.getTime()))
    throw new SlipwayError('USAGE', `as-of ${text} is not an instant (RFC 3339, such as 2001-03-01T00:00:00Z)`);
  return instant.toISOString();
}
