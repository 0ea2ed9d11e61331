import { type Client, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { randomUUID } from 'node:crypto';
import { digestOfJson } from '../../infra/object-store/digest';
import { signControlCommand } from '../../infra/runs/control-command';
import { runIdentity } from '../../infra/runs/identity';
import type { BlobStore } from '../../infra/object-store/port';
import type { ReleaseRegistry } from '../../infra/releases/port';
import type { Signer } from '../../infra/signing/port';
import { lifecycleStart } from '../../infra/temporal/start-options';
import { SlipwayError } from '../../workflows/domain/errors';
import type { MonitorReport } from '../../workflows/domain/monitoring';
import type { ModelName } from '../../workflows/domain/names';
import type { ReleaseManifest } from '../../workflows/domain/release';
import type { RunRequest } from '../../workflows/domain/run';
import type { ModelSpec } from '../../workflows/domain/spec';
import { LIFECYCLE, type LifecycleInput, type RunCommandArgs } from '../../workflows/lifecycle.messages';
import type { MonitorControlActivities } from '../../workflows/monitor.activities';

export interface RetrainPorts {
  readonly client: Client;
  readonly signer: Signer;
  readonly workspace: string;
  readonly timeoutDivisor: number;
  readonly releases: Pick<ReleaseRegistry, 'list' | 'manifest'>;
  readonly blobs: Pick<BlobStore, 'getJson'>;
  /** True once per cooldown, and again for the same look: kept in the store, so that nothing retrains in a loop. */
  claimRetrain(model: ModelName, look: string, at: Date, cooldownMs: number): Promise<boolean>;
  readonly clock?: () => Date;
}

type StartRetrain = MonitorControlActivities['startRetrain'];

/**
 * Spec and code of the release that the look judged, newer data, and a link to what the monitor saw. The same look starts the same run,
 * whatever serves by then.
 */
export function createRetrain(ports: RetrainPorts): Pick<MonitorControlActivities, 'startRetrain'> {
  return {
    async startRetrain(input) {
      const judged = await judgedRelease(ports, input);
      const { enabled, cooldownMs } = (await ports.blobs.getJson<ModelSpec>(judged.spec)).monitor.retrain;
      if (!enabled || !(await ports.claimRetrain(input.model, input.look, new Date(input.asOf), cooldownMs)))
        return null;
      const request = requestOf(ports, input, judged);
      await startLifecycle(ports, request);
      return request.run;
    },
  };
}

/** By what the report says, not by what serves now: a promotion in between must not have another run start. */
async function judgedRelease(
  { blobs, releases }: RetrainPorts,
  { model, report }: Parameters<StartRetrain>[0],
): Promise<ReleaseManifest> {
  const { release: version } = await blobs.getJson<MonitorReport>(report);
  const release = (await releases.list(model)).find((each) => each.version === version);
  if (!release)
    throw new SlipwayError('NOT_FOUND', `the look judged release ${version} of ${model}, which is not registered`);
  return releases.manifest(release);
}

function requestOf(
  ports: RetrainPorts,
  { model, asOf, report }: Parameters<StartRetrain>[0],
  { lineage, spec }: ReleaseManifest,
): RunRequest {
  const identity = { model, commit: lineage.commit, spec, asOf, imported: null };
  const attempt = 1;
  return {
    schema: 'slipway.run/1',
    workspace: ports.workspace,
    ...identity,
    run: runIdentity(identity, attempt),
    attempt,
    cause: 'drift',
    from: null,
    evidence: report,
    requestedAt: now(ports).toISOString(),
  };
}

async function startLifecycle(ports: RetrainPorts, request: RunRequest): Promise<void> {
  const args: RunCommandArgs = { run: request.run, request: digestOfJson(request) };
  const command = signControlCommand(
    ports.signer,
    { workspace: ports.workspace, action: 'run', target: request.model, args: { ...args }, nonce: randomUUID() },
    now(ports),
  );
  const input: LifecycleInput = { request, command, timeoutDivisor: ports.timeoutDivisor };
  try {
    await ports.client.workflow.start(LIFECYCLE, { ...lifecycleStart(request), args: [input] });
  } catch (error) {
    // It ran and ended: an earlier attempt of this activity started it.
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}

function now(ports: RetrainPorts): Date {
  return ports.clock?.() ?? new Date();
}
