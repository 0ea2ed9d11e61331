import { SlipwayError, type ErrorCode } from '../../workflows/domain/errors';
import type { ReleaseManifest } from '../../workflows/domain/release';
import type { ModelSpec } from '../../workflows/domain/spec';
import type { DeploymentControlActivities } from '../../workflows/deployment.activities';
import { auditIds } from '../../infra/audit/ids';
import { digestOfAnything } from '../../infra/audit/refusals';
import { subjectOf } from '../../infra/releases/manifest';
import { commitPlan } from './commit';
import type { RoutingPorts } from './ports';
import { recoverDeployment } from './recovery';

export type RoutingActivities = Pick<
  DeploymentControlActivities,
  'recoverDeployment' | 'prepareRollout' | 'verifyServable' | 'commitRoute' | 'recordRollout'
>;

/** Everything the deployment workflow needs to roll back is here, and needs the store only (I4). */
export function createRoutingActivities(ports: RoutingPorts): RoutingActivities {
  return {
    recoverDeployment: ({ model }) => recoverDeployment(ports, model),
    prepareRollout: (input) => prepareRollout(ports, input),
    verifyServable: async ({ release }) => {
      try {
        await ports.registry.verify(release, 'serve');
        return { ok: true };
      } catch (error) {
        return { ok: false, ...refusalOf(error) };
      }
    },
    commitRoute: (plan) => commitPlan(ports, plan),
    recordRollout: (input) => recordRollout(ports, input),
  };
}

async function prepareRollout(
  ports: RoutingPorts,
  input: Parameters<RoutingActivities['prepareRollout']>[0],
): ReturnType<RoutingActivities['prepareRollout']> {
  const { release, run, champion, attempt } = input;
  let manifest: ReleaseManifest;
  try {
    manifest = await ports.registry.verify(release, 'promote');
    if (run !== null && manifest.run !== run)
      throw new SlipwayError('COMMAND_REFUSED', `${subjectOf(release)} is of run ${manifest.run}, not ${run}`);
    if (champion?.digest === release.digest)
      throw new SlipwayError('COMMAND_REFUSED', `${subjectOf(release)} serves already`);
  } catch (error) {
    return { accepted: false, ...refusalOf(error) };
  }
  const spec = await ports.blobs.getJson<ModelSpec>(manifest.spec);
  const id = `rollout-${release.version}-${attempt}`;
  return {
    accepted: true,
    rollout: { id, release, run, spec: spec.rollout, clock: manifest.clock },
    assignment: spec.assignment,
  };
}

/** What a release cannot serve for is an answer; what may pass by itself is thrown, and tried again. */
function refusalOf(error: unknown): { code: ErrorCode; detail: string } {
  if (!(error instanceof SlipwayError) || error.kind.retryable) throw error;
  return { code: error.code, detail: error.message };
}

/** The same event with the same contents is a retry: one rollout may be judged often, and one id be refused twice. */
async function recordRollout(
  ports: RoutingPorts,
  input: Parameters<RoutingActivities['recordRollout']>[0],
): Promise<void> {
  const { model, rollout, release, event, outcome, detail, verdicts, evidence, actor = 'process:control' } = input;
  const contents = digestOfAnything({ outcome, detail, verdicts, evidence, actor }).slice(
    'sha256:'.length,
    'sha256:'.length + 16,
  );
  const said = event === 'ended' ? `ended: ${outcome ?? 'without an outcome'}` : event;
  await ports.audit.append(model, {
    id: auditIds.rollout(rollout, `${event}/${contents}`),
    kind: `rollout.${event}`,
    actor,
    summary: `${rollout} of ${subjectOf(release)} ${said}${detail ? `. ${detail}` : ''}`,
    data: { rollout, release, outcome, verdicts },
    evidence,
  });
}
