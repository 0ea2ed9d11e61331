import type { CommandAction } from '../../workflows/domain/approval';
import type { Role } from '../../workflows/domain/envelope';
import { SlipwayError } from '../../workflows/domain/errors';
import { keys } from '../../workflows/domain/keys';
import type { RunPlan, RunRequest, RunResult } from '../../workflows/domain/run';
import type { ModelSpec } from '../../workflows/domain/spec';
import type { AdmittedCommand, DeploymentControlActivities } from '../../workflows/deployment.activities';
import type { LifecycleControlActivities } from '../../workflows/lifecycle.activities';
import { auditIds } from '../../infra/audit/ids';
import { asRefusal, digestOfAnything } from '../../infra/audit/refusals';
import { canonicalBytes, digestOfJson } from '../../infra/object-store/digest';
import type { BlobStore, ObjectStore } from '../../infra/object-store/port';
import { admitSigned, type CommandPorts } from './command';
import { wasPromoted } from './promoted';
import { checkRequest, checkRunIsNew, planRun, writeRequest } from './run-record';

export interface AdmissionPorts extends CommandPorts {
  readonly store: ObjectStore;
  readonly blobs: BlobStore;
}

export type AdmissionActivities = Pick<LifecycleControlActivities, 'admitRun' | 'admitCancel' | 'finishRun'> &
  Pick<DeploymentControlActivities, 'admitCommand'>;

const operators: readonly Role[] = ['operator'];
/** A lifecycle hands its release over, and takes it back, in the name of the control plane. */
const operatorsAndControl: readonly Role[] = ['operator', 'control'];

const deploymentRoles: Readonly<Partial<Record<CommandAction, readonly Role[]>>> = {
  release: operatorsAndControl,
  abort: operatorsAndControl,
  rollback: operators,
  divert: operators,
  pause: operators,
  resume: operators,
  skipStep: operators,
  promoteNow: operators,
  freeze: operators,
  unfreeze: operators,
  retire: operators,
};

/** Everything that comes from outside passes here: signature, role, scope, nonce, and an audit entry whatever the answer. */
export function createAdmissionActivities(ports: AdmissionPorts): AdmissionActivities {
  return {
    admitRun: (input) => admitRun(ports, input),
    admitCancel: (input) => admitCancel(ports, input),
    admitCommand: (input) => admitCommand(ports, input),
    finishRun: (input) => finishRun(ports, input),
  };
}

type AdmitRunInput = Parameters<AdmissionActivities['admitRun']>[0];

async function admitRun(ports: AdmissionPorts, { request, command }: AdmitRunInput): Promise<RunPlan> {
  const content = digestOfJson(request);
  const { minApprovals, workspace } = ports.trust.policy;
  const { run, cause, commit, asOf } = request;
  const { actor, audit } = await admitSigned(ports, command, {
    model: request.model,
    roles: { run: startRoles(request) },
    delivery: `run/${content}`,
    check: async ({ args }) => {
      checkRequest(request, workspace);
      if (args['run'] !== run || args['request'] !== content)
        throw new SlipwayError('COMMAND_REFUSED', `the command does not name run ${run} as it was requested`);
      await checkRunIsNew(ports.store, request);
      await readSpec(ports.blobs, request);
    },
    accepted: {
      kind: 'run.started',
      data: { run, request: content, cause, commit, spec: request.spec, asOf },
      summary: (_, person) => `run ${run} started by ${person} (${cause})`,
    },
    refused: { kind: 'run.refused', what: 'run' },
  });
  await writeRequest(ports.store, request);
  return { ...planRun(await readSpec(ports.blobs, request), minApprovals), startedBy: actor, audit };
}

async function readSpec(blobs: BlobStore, request: RunRequest): Promise<ModelSpec> {
  const spec = await blobs.getJson<ModelSpec>(request.spec);
  if (spec.model === request.model) return spec;
  throw new SlipwayError('SPEC_INVALID', `the spec ${request.spec} is one of ${spec.model}, not ${request.model}`);
}

/** What nobody asked for is started by the control plane itself: by drift or by schedule. */
function startRoles(request: RunRequest): readonly Role[] {
  return request.cause === 'drift' || request.cause === 'schedule'
    ? ['control', 'trainer', 'operator']
    : ['trainer', 'operator'];
}

async function admitCancel(
  ports: AdmissionPorts,
  input: Parameters<AdmissionActivities['admitCancel']>[0],
): ReturnType<AdmissionActivities['admitCancel']> {
  const { request, command } = input;
  try {
    const { actor } = await admitSigned(ports, command, {
      model: request.model,
      roles: { cancelRun: ['operator', 'trainer'] },
      delivery: `cancel/${request.run}/${input.delivery ?? digestOfAnything(command)}`,
      check: ({ args }) => {
        if (args['run'] !== request.run)
          throw new SlipwayError('COMMAND_REFUSED', `the command does not name run ${request.run}`);
      },
      accepted: {
        kind: 'command.accepted',
        data: { run: request.run },
        summary: (_, person) => `run ${request.run} cancelled by ${person}`,
      },
      refused: { kind: 'command.refused', what: 'cancelRun' },
    });
    return { accepted: true, actor };
  } catch (error) {
    return refusalOf(error);
  }
}

async function admitCommand(
  ports: AdmissionPorts,
  input: Parameters<AdmissionActivities['admitCommand']>[0],
): Promise<AdmittedCommand> {
  const { model, envelope } = input;
  try {
    const { command, actor, audit } = await admitSigned(ports, envelope, {
      model,
      roles: deploymentRoles,
      delivery: `deployment/${input.delivery ?? digestOfAnything(envelope)}`,
      check: () => undefined,
      accepted: { kind: 'command.accepted', data: {}, summary: ({ action }, person) => `${action} by ${person}` },
      refused: { kind: 'command.refused', what: 'command' },
    });
    return { accepted: true, action: command.action, args: command.args, actor, audit };
  } catch (error) {
    return refusalOf(error);
  }
}

function refusalOf(error: unknown): { accepted: false; code: SlipwayError['code']; detail: string } {
  const { code, message } = asRefusal(error);
  return { accepted: false, code, detail: message };
}

type FinishInput = Parameters<AdmissionActivities['finishRun']>[0];

/**
 * The first outcome stands: a run ends once. That its release was promoted it knows from a signal, which anybody who reaches Temporal may
 * send: the log must hold the route that did it. Throws COMMAND_REFUSED, and records that the run failed, where it does not.
 */
async function finishRun(ports: AdmissionPorts, input: FinishInput): Promise<void> {
  const { request, outcome, version } = input;
  if (outcome !== 'promoted' || (version !== null && (await wasPromoted(ports, request.model, version))))
    return recordEnd(ports, input);
  const detail = `the log holds no route that made release ${version ?? 'none'} the champion`;
  await recordEnd(ports, { ...input, outcome: 'failed', detail, code: 'COMMAND_REFUSED' });
  throw new SlipwayError('COMMAND_REFUSED', detail);
}

async function recordEnd(ports: AdmissionPorts, input: FinishInput): Promise<void> {
  const { request, outcome, detail, version, code = null } = input;
  await ports.audit.append(request.model, {
    id: auditIds.runFinished(request.run),
    kind: 'run.finished',
    actor: 'process:control',
    summary: `run ${request.run} ended: ${outcome}. ${detail}`,
    data: { run: request.run, outcome, version, code },
    evidence: [],
  });
  const result: RunResult = { model: request.model, run: request.run, outcome, detail, version, code };
  await ports.store.create(keys.runResult(request.model, request.run), canonicalBytes(result));
}
