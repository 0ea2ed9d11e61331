import { Context } from '@temporalio/activity';
import type { DeploymentControlActivities, WatchInput } from '../../workflows/deployment.activities';
import { judgeCanary, sumObservations, type CanarySums } from '../../workflows/domain/canary';
import { claimOf } from '../../workflows/domain/disagreement-claim';
import { eventSpan } from '../../workflows/domain/event-span';
import type { CanaryReport, WatchReason } from '../../workflows/domain/rollout';
import type { AssignmentSpec, ModelSpec, Task } from '../../workflows/domain/spec';
import type { Verdict } from '../../workflows/domain/verdict';
import type { BlobStore, ObjectStore } from '../../infra/object-store/port';
import { withHeartbeat } from '../../infra/process/activity-scope';
import type { ReleaseRegistry } from '../../infra/releases/port';
import { isOvertaken, readObservations, type Observed } from './observations';

export interface CanaryPorts {
  readonly store: ObjectStore;
  readonly blobs: BlobStore;
  readonly releases: Pick<ReleaseRegistry, 'manifest'>;
  /** Epoch ms. */
  readonly now: () => number;
  /** Between two looks; a test may make it shorter. */
  readonly lookEveryMs?: number;
}

/** Blob behind a `CanaryReport`. */
export interface CanaryEvidence extends Observed {
  readonly schema: 'slipway.canary-evidence/1';
  readonly rollout: string;
  readonly step: number;
  readonly verdicts: readonly Verdict[];
}

export const LOOK_EVERY_MS = 1000;

/** Reads counts only: it needs no data and no worker but control (invariant I4). */
export function createCanaryWatch(ports: CanaryPorts): Pick<DeploymentControlActivities, 'watchCanary'> {
  return {
    watchCanary: (input) =>
      withHeartbeat(async ({ heartbeat }) => {
        const judged = await readJudged(ports, input);
        for (;;) {
          const look = await lookAtCanary(ports, input, judged);
          const { watermarkMs } = look.sums;
          heartbeat({ watermarkMs, verdicts: look.verdicts.map(({ outcome }) => outcome) });
          const reason = await whyToReturn(ports, input, look);
          if (reason) return report(ports, input, look, reason);
          await Context.current().sleep(ports.lookEveryMs ?? LOOK_EVERY_MS);
        }
      }),
  };
}

/** What the release under watch says of how it is judged. */
interface Judged {
  readonly task: Task;
  /** As in the rollout's routes, which take it from the same spec. */
  readonly assignment: AssignmentSpec['source'];
}

async function readJudged({ releases, blobs }: CanaryPorts, { rollout }: WatchInput): Promise<Judged> {
  const { signature, spec } = await releases.manifest(rollout.release);
  const { assignment } = await blobs.getJson<Pick<ModelSpec, 'assignment'>>(spec);
  return { task: signature.task, assignment: assignment.source };
}

interface Look {
  readonly observed: Observed;
  readonly sums: CanarySums;
  readonly verdicts: readonly Verdict[];
}

async function lookAtCanary(ports: CanaryPorts, input: WatchInput, judged: Judged): Promise<Look> {
  const observed = await readObservations(ports.store, input.model, input.generations);
  const sums = sumObservations(observed.documents, judged.assignment);
  const { spec, clock } = input.rollout;
  const beforeBake = spec.bakeMs > 0 ? spec.steps.slice(0, -1) : spec.steps;
  const verdicts = judgeCanary(spec, judged.task, sums, observed.breakers, {
    claim: claimOf(beforeBake, input.step, input.extension),
    untilMs: clock === 'event' ? sums.watermarkMs : ports.now(),
  });
  return { observed, sums, verdicts };
}

async function whyToReturn(ports: CanaryPorts, input: WatchInput, look: Look): Promise<WatchReason | null> {
  if (look.observed.breakers.length > 0) return 'breaker';
  if (look.verdicts.some(({ outcome }) => outcome === 'fail')) return 'verdict';
  const newest = input.generations[input.generations.length - 1];
  if (newest !== undefined && (await isOvertaken(ports.store, input.model, newest))) return 'generation-lost';
  return input.hold !== true && isStepOver(input, look.observed, ports.now()) ? 'step-over' : null;
}

/**
 * In event time a step lasts from where the workflow says, or from the first requests under its own route, and ends by how far event
 * time has come; a few requests, late or early, decide neither. A step without traffic ends at its wall-clock bound in either clock, inconclusive.
 */
export function isStepOver(input: WatchInput, { documents }: Pick<Observed, 'documents'>, nowMs: number): boolean {
  if (nowMs >= input.endsAtMs) return true;
  if (input.rollout.clock === 'wall') return false;
  const own = documents.filter(({ generation }) => generation === input.generations.at(-1));
  const startMs = input.eventStartMs ?? eventSpan(own)?.firstMs ?? null;
  const step = input.rollout.spec.steps[input.step];
  const untilMs = eventSpan(documents)?.untilMs;
  if (startMs === null || untilMs === undefined || step === undefined) return false;
  return untilMs >= startMs + step.forMs * (1 + (input.extension ?? 0));
}

async function report(ports: CanaryPorts, input: WatchInput, look: Look, reason: WatchReason): Promise<CanaryReport> {
  const { rollout, step } = input;
  const { verdicts, observed, sums } = look;
  const evidence: CanaryEvidence = {
    schema: 'slipway.canary-evidence/1',
    rollout: rollout.id,
    step,
    verdicts,
    ...observed,
  };
  return {
    reason,
    verdicts,
    evidence: await ports.blobs.putJson(evidence),
    watermark: sums.watermarkMs === null ? null : new Date(sums.watermarkMs).toISOString(),
  };
}
