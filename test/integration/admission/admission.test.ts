import { createAdmissionActivities, type AdmissionActivities } from '../../../activities/admission/admission';
import type { CommandDocument } from '../../../workflows/domain/approval';
import { keys } from '../../../workflows/domain/keys';
import type { RunRequest } from '../../../workflows/domain/run';
import type { Envelope } from '../../../workflows/domain/envelope';
import { digestOfJson } from '../../../infra/object-store/digest';
import { verifyAudit } from '../../../infra/audit/verify';
import type { PrivateKey } from '../../../infra/signing/keys';
import { createMemoryStore } from '../../support/memory-store';
import { MODEL, runId, sampleRequest, sampleSpec } from '../../support/release-fixture';
import { signCommand, testKeys, testPolicy, testWorkspace, type TestWorkspace } from '../../support/workspace';

function runCommand(
  request: RunRequest,
  key: PrivateKey = testKeys.developer,
  changes: Partial<CommandDocument> = {},
): Envelope {
  return signCommand(key, {
    action: 'run',
    target: request.model,
    args: { run: request.run, request: digestOfJson(request) },
    ...changes,
  });
}

async function kinds({ audit }: TestWorkspace): Promise<string[]> {
  const found: string[] = [];
  for await (const { kind, data, actor } of audit.entries(MODEL))
    found.push(typeof data['code'] === 'string' ? `${kind} ${data['code']} ${actor}` : `${kind} ${actor}`);
  return found;
}

describe('a run is admitted', () => {
  let workspace: TestWorkspace;
  let activities: AdmissionActivities;
  let request: RunRequest;
  beforeEach(async () => {
    workspace = testWorkspace({ policy: testPolicy({ minApprovals: 1 }) });
    activities = createAdmissionActivities(workspace);
    request = await sampleRequest(workspace);
  });
  const admit = (command: Envelope, of = request): Promise<string> =>
    activities.admitRun({ request: of, command }).then(
      (plan) => plan.startedBy,
      (error: { code: string }) => error.code,
    );

  it('with the plan that spec and policy give, audited, its request written', async () => {
    const plan = await activities.admitRun({ request, command: runCommand(request) });
    expect(plan).toMatchObject({
      trainingQueue: 'slipway-compute',
      trainingTimeoutMs: 60_000,
      approvalsRequired: 2,
      approvalsWithinMs: 86_400_000,
      startedBy: 'person:developer',
    });
    expect(await workspace.audit.find(MODEL, plan.audit)).toMatchObject({
      kind: 'run.started',
      actor: 'person:developer',
      data: { run: request.run, cause: 'manual' },
    });
    expect(
      JSON.parse(Buffer.from((await workspace.store.get(keys.runRequest(MODEL, request.run)))!).toString()),
    ).toEqual(request);
  });

  it('with no fewer approvals than the policy asks for', async () => {
    const unapproved = await sampleRequest(
      workspace,
      runId(2),
      sampleSpec({ approvals: { required: 0, withinMs: 1 } }),
    );
    expect(
      (await activities.admitRun({ request: unapproved, command: runCommand(unapproved) })).approvalsRequired,
    ).toBe(1);
  });

  it('again, the same, when the activity is retried', async () => {
    const command = runCommand(request);
    const first = await activities.admitRun({ request, command });
    expect(await activities.admitRun({ request, command })).toEqual(first);
    expect(await kinds(workspace)).toEqual(['run.started person:developer']);
  });

  it('whichever operation of the store fails once, with one entry', async () => {
    const command = runCommand(request);
    for (const fault of ['unavailable', 'lost-reply'] as const)
      for (let failing = 0; ; failing += 1) {
        const memory = createMemoryStore();
        const faulty = testWorkspace({ store: memory });
        await faulty.blobs.putJson(sampleSpec());
        let operations = 0;
        memory.fault = () => (operations++ === failing ? fault : 'none');
        const admitOnce = () =>
          createAdmissionActivities(testWorkspace({ store: memory })).admitRun({ request, command });
        expect((await admitOnce().catch(admitOnce)).startedBy).toBe('person:developer');
        memory.fault = () => 'none';
        expect(await kinds(faulty)).toEqual(['run.started person:developer']);
        if (operations <= failing) break;
      }
  });

  it('by the control plane for drift and schedule only', async () => {
    expect(await admit(runCommand(request, testKeys.control))).toBe('ROLE_MISSING');
    const drift = { ...request, cause: 'drift' as const };
    expect(await admit(runCommand(drift, testKeys.control), drift)).toBe('process:control');
  });

  it('not for a key without the role, an unknown key, another workspace, or an expired command; each is audited', async () => {
    expect(await admit(runCommand(request, testKeys.viewer))).toBe('ROLE_MISSING');
    expect(await admit(runCommand(request, testKeys.foreign))).toBe('KEY_UNKNOWN');
    expect(await admit(runCommand(request, testKeys.developer, { workspace: 'prod' }))).toBe('WORKSPACE_MISMATCH');
    expect(await admit(runCommand(request, testKeys.developer, { expiresAt: '2001-02-28T00:00:00.000Z' }))).toBe(
      'COMMAND_EXPIRED',
    );
    expect(await admit({} as Envelope)).toBe('SIGNATURE_INVALID');
    expect(await kinds(workspace)).toEqual([
      'run.refused ROLE_MISSING key:' + testKeys.viewer.keyId,
      'run.refused KEY_UNKNOWN key:' + testKeys.foreign.keyId,
      'run.refused WORKSPACE_MISMATCH key:' + testKeys.developer.keyId,
      'run.refused COMMAND_EXPIRED person:developer',
      'run.refused SIGNATURE_INVALID key:unknown',
    ]);
    expect(await workspace.store.get(keys.runRequest(MODEL, request.run))).toBeNull();
  });

  it('not for a command that names another run, other inputs or another model', async () => {
    expect(await admit(runCommand({ ...request, commit: 'other' }))).toBe('COMMAND_REFUSED');
    expect(await admit(runCommand(request, testKeys.developer, { target: 'flights/other' }))).toBe('COMMAND_REFUSED');
    expect(await admit(runCommand(request, testKeys.developer, { action: 'cancelRun' }))).toBe('COMMAND_REFUSED');
    const elsewhere = { ...request, workspace: 'prod' };
    expect(await admit(runCommand(elsewhere), elsewhere)).toBe('WORKSPACE_MISMATCH');
    const escaping = { ...request, run: '../../routes/index' };
    expect(await admit(runCommand(escaping), escaping)).toBe('COMMAND_REFUSED');
  });

  it('not by a command that was used for another request', async () => {
    await activities.admitRun({ request, command: runCommand(request) });
    const second = await sampleRequest(workspace, runId(2));
    expect(await admit(runCommand(second))).toBe('COMMAND_REPLAYED');
    expect(await admit(runCommand(second, testKeys.developer, { nonce: 'nonce-2' }), second)).toBe('person:developer');
  });

  it('not once it has ended, and anew by a new command when its workflow was lost before', async () => {
    await activities.admitRun({ request, command: runCommand(request) });
    const later = { ...request, requestedAt: '2001-03-01T00:10:00.000Z' };
    expect(await admit(runCommand(later, testKeys.developer, { nonce: 'nonce-2' }), later)).toBe('person:developer');
    await activities.finishRun({ request, outcome: 'rejected', detail: 'no', version: 1 });
    expect(await admit(runCommand(request))).toBe('COMMAND_REPLAYED');
    expect(await admit(runCommand(request, testKeys.developer, { nonce: 'nonce-3' }))).toBe('COMMAND_REPLAYED');
  });

  it('and finishes once: a second outcome changes nothing', async () => {
    await activities.finishRun({ request, outcome: 'rejected', detail: 'no', version: 1 });
    await activities.finishRun({ request, outcome: 'failed', detail: 'late', version: null });
    expect(
      JSON.parse(Buffer.from((await workspace.store.get(keys.runResult(MODEL, request.run)))!).toString()),
    ).toMatchObject({ outcome: 'rejected', version: 1 });
    expect(await kinds(workspace)).toEqual(['run.finished process:control']);
  });
});

describe('a command is admitted', () => {
  const command = (key: PrivateKey, changes: Partial<CommandDocument> = {}): Envelope =>
    signCommand(key, { action: 'rollback', target: MODEL, args: { reason: 'bad' }, ...changes });

  it('for an operator, with its action, arguments and entry', async () => {
    const workspace = testWorkspace();
    const admitted = await createAdmissionActivities(workspace).admitCommand({
      model: MODEL,
      envelope: command(testKeys.developer),
      delivery: 'u1',
    });
    expect(admitted).toMatchObject({
      accepted: true,
      action: 'rollback',
      args: { reason: 'bad' },
      actor: 'person:developer',
    });
    if (admitted.accepted)
      expect(await workspace.audit.find(MODEL, admitted.audit)).toMatchObject({
        kind: 'command.accepted',
        summary: 'rollback by person:developer',
      });
  });

  it('once for a nonce: the same delivery gets the same answer, another is a replay', async () => {
    const workspace = testWorkspace();
    const { admitCommand } = createAdmissionActivities(workspace);
    const envelope = command(testKeys.developer);
    const first = await admitCommand({ model: MODEL, envelope, delivery: 'u1' });
    expect(await admitCommand({ model: MODEL, envelope, delivery: 'u1' })).toEqual(first);
    expect(await admitCommand({ model: MODEL, envelope, delivery: 'u2' })).toMatchObject({
      accepted: false,
      code: 'COMMAND_REPLAYED',
    });
    expect(
      await admitCommand({ model: MODEL, envelope: command(testKeys.developer, { action: 'freeze' }), delivery: 'u1' }),
    ).toMatchObject({ code: 'COMMAND_REPLAYED' });
    workspace.clock.now = new Date('2001-03-01T01:00:00.000Z');
    expect(await admitCommand({ model: MODEL, envelope, delivery: 'u1' })).toMatchObject({ code: 'COMMAND_EXPIRED' });
  });

  it('for one of two deliveries that arrive at the same time in two processes', async () => {
    const memory = createMemoryStore();
    const envelope = command(testKeys.developer);
    const answers = await Promise.all(
      ['u1', 'u2', 'u3'].map((delivery) =>
        createAdmissionActivities(testWorkspace({ store: memory })).admitCommand({ model: MODEL, envelope, delivery }),
      ),
    );
    expect(answers.filter(({ accepted }) => accepted)).toHaveLength(1);
    expect(answers.flatMap((answer) => (answer.accepted ? [] : [answer.code]))).toEqual([
      'COMMAND_REPLAYED',
      'COMMAND_REPLAYED',
    ]);
  });

  it('for the control plane only to hand a release over or to take it back', async () => {
    const { admitCommand } = createAdmissionActivities(testWorkspace());
    const send = async (action: CommandDocument['action']): Promise<string> => {
      const answer = await admitCommand({
        model: MODEL,
        envelope: command(testKeys.control, { action, nonce: `n-${action}` }),
        delivery: action,
      });
      return answer.accepted ? 'accepted' : answer.code;
    };
    expect([await send('release'), await send('abort'), await send('rollback'), await send('promoteNow')]).toEqual([
      'accepted',
      'accepted',
      'ROLE_MISSING',
      'ROLE_MISSING',
    ]);
    expect(await send('run')).toBe('COMMAND_REFUSED');
  });

  it('not with arguments beyond a bound, nor for a model that is none', async () => {
    const { admitCommand } = createAdmissionActivities(testWorkspace());
    const envelope = command(testKeys.developer, { args: { reason: 'x'.repeat(5_000) } });
    expect(await admitCommand({ model: MODEL, envelope, delivery: 'u1' })).toMatchObject({
      accepted: false,
      code: 'COMMAND_REFUSED',
    });
    await expect(admitCommand({ model: '../other', envelope, delivery: 'u1' })).rejects.toMatchObject({
      code: 'MODEL_UNKNOWN',
    });
  });

  it('and a store that answers 503 is a failure to try again, not a refusal', async () => {
    const memory = createMemoryStore();
    memory.fault = () => 'unavailable';
    const { admitCommand } = createAdmissionActivities(testWorkspace({ store: memory }));
    await expect(
      admitCommand({ model: MODEL, envelope: command(testKeys.developer), delivery: 'u1' }),
    ).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(memory.objects.size).toBe(0);
  });

  it('to cancel the run that it names', async () => {
    const workspace = testWorkspace();
    const { admitCancel } = createAdmissionActivities(workspace);
    const request = await sampleRequest(workspace);
    const cancel = (run: string, nonce: string): Envelope =>
      command(testKeys.developer, { action: 'cancelRun', args: { run, reason: 'wrong data' }, nonce });
    expect(await admitCancel({ request, command: cancel(runId(9), 'n1'), delivery: 'a' })).toMatchObject({
      accepted: false,
      code: 'COMMAND_REFUSED',
    });
    expect(await admitCancel({ request, command: cancel(request.run, 'n2'), delivery: 'a' })).toEqual({
      accepted: true,
      actor: 'person:developer',
    });
    expect(await admitCancel({ request, command: cancel(request.run, 'n2'), delivery: 'a' })).toEqual({
      accepted: true,
      actor: 'person:developer',
    });
    expect((await verifyAudit(workspace.store, workspace.trust, MODEL)).problems).toEqual([]);
  });
});
