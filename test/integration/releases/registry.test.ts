import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createReleaseActivities } from '../../../activities/release/release';
import { keys } from '../../../workflows/domain/keys';
import type { ReleaseManifest } from '../../../workflows/domain/release';
import { createFsStore } from '../../../infra/object-store/fs-store';
import { canonicalBytes, digestOfJson } from '../../../infra/object-store/digest';
import { contentOfRelease } from '../../../infra/audit/effects';
import { storeApproval } from '../../../infra/releases/approvals';
import { signedFiles, subjectOf } from '../../../infra/releases/manifest';
import { decisionDigest } from '../../../infra/signing/dsse';
import { signRelease } from '../../../infra/signing/model-signing';
import { createMemoryStore } from '../../support/memory-store';
import {
  approve,
  MODEL,
  publishRelease,
  runId,
  sampleRegistration,
  sampleRequest,
  sampleSpec,
} from '../../support/release-fixture';
import { signApproval, testClock, testKeys, testPolicy, testWorkspace } from '../../support/workspace';

const unapproved = sampleSpec({ approvals: { required: 0, withinMs: 1 } });

describe('registration of a release', () => {
  it('gives versions in order, and the same run the same release again', async () => {
    const workspace = testWorkspace();
    const first = await publishRelease(workspace, { run: runId(1), approvers: [] });
    const second = await publishRelease(workspace, { run: runId(2), approvers: [] });
    const again = await publishRelease(workspace, { run: runId(1), approvers: [] });
    expect([first.ref.version, second.ref.version]).toEqual([1, 2]);
    expect(again.ref).toEqual(first.ref);
    expect(await workspace.registry.list(MODEL)).toEqual([first.ref, second.ref]);
  });

  it('gives runs that register at the same time a version each', async () => {
    const memory = createMemoryStore();
    const workspaces = Array.from({ length: 5 }, () => testWorkspace({ store: memory }));
    const published = await Promise.all(
      workspaces.map((workspace, index) => publishRelease(workspace, { run: runId(index + 1), approvers: [] })),
    );
    expect(published.map(({ ref }) => ref.version).sort()).toEqual([1, 2, 3, 4, 5]);
    for (const { ref } of published)
      expect(
        (await workspaces[0]!.registry.verify(ref, 'serve').catch((error: unknown) => error)) as Error,
      ).toMatchObject({ code: 'RELEASE_UNAPPROVED' });
  });

  it('ends with one verifiable release whichever operation of the store fails once', async () => {
    for (const fault of ['unavailable', 'lost-reply'] as const)
      for (let failing = 0; ; failing += 1) {
        const memory = createMemoryStore();
        const workspace = testWorkspace({ store: memory });
        const request = await sampleRequest(workspace, runId(1), unapproved);
        const registration = await sampleRegistration(workspace, request);
        let operations = 0;
        memory.fault = () => (operations++ === failing ? fault : 'none');
        const register = () => createReleaseActivities(testWorkspace({ store: memory })).registerRelease(registration);
        const ref = await register().catch(register);
        memory.fault = () => 'none';
        expect(await workspace.registry.list(MODEL)).toEqual([ref]);
        expect(ref.version).toBe(1);
        expect(await workspace.registry.verify(ref, 'promote')).toMatchObject({ run: runId(1), production: false });
        if (operations <= failing) break;
      }
  });

  it('writes a model card that says where the model came from and what it may be used for', async () => {
    const workspace = testWorkspace();
    const { ref } = await publishRelease(workspace, { approvers: [] });
    const manifest = await workspace.registry.manifest(ref);
    const card = Buffer.from(await workspace.blobs.get(manifest.modelCard)).toString();
    for (const said of [
      '# flights/late-arrival',
      'late is 1'.replace('late', '`late`'),
      '| auc | 0.67 |',
      '| distance | number | mi | 0 to 5000 | no |',
      'Not for production',
      '| started by | person:developer |',
    ])
      expect(card).toContain(said);
  });

  it.each([
    [
      'a map',
      { method: 'platt', slope: 0.5, intercept: -1, rows: 900, split: 'validation' } as const,
      'chose the epoch',
    ],
    ['no map', null, 'There are no calibrated probabilities: the days said so.'],
  ])('signs what the evidence says of calibration, and tells it in the card: %s', async (_, map, said) => {
    const workspace = testWorkspace();
    const reason = 'the days said so';
    const holdout = {
      ...{ logLossRaw: 0.58, logLossCalibrated: 0.56 },
      ...{ calibrationErrorRaw: 0.07, calibrationErrorCalibrated: 0.02 },
    };
    const calibration = { map, reason, rows: 900, holdout };
    const input = await sampleRegistration(workspace, await sampleRequest(workspace), { calibration });
    const ref = await createReleaseActivities(workspace).registerRelease(input);
    const manifest = await workspace.registry.verify(ref, 'promote').catch(() => workspace.registry.manifest(ref));
    expect(manifest.calibration).toEqual(map ?? { method: 'none', reason });
    const card = Buffer.from(await workspace.blobs.get(manifest.modelCard)).toString();
    for (const text of ['## Calibration', said, '| log loss | 0.58 | 0.56 |', '| calibration error | 0.07 | 0.02 |'])
      expect(card).toContain(text);
  });

  it('signs the descriptor of a server under its own name', async () => {
    const workspace = testWorkspace();
    const registration = await sampleRegistration(workspace, await sampleRequest(workspace));
    const training = { ...registration.training, kind: 'endpoint' as const, trainer: 'external endpoint risk (v2)' };
    const ref = await createReleaseActivities(workspace).registerRelease({ ...registration, training });
    const manifest = await workspace.registry.manifest(ref);
    expect(manifest.kind).toBe('endpoint');
    const names = signedFiles(manifest, ref.digest).map(({ name }) => name);
    expect([names.includes('endpoint.json'), names.includes('model.onnx')]).toEqual([true, false]);
    const card = Buffer.from(await workspace.blobs.get(manifest.modelCard)).toString();
    expect(card).toContain("Slipway does not hold the model's bytes");
  });

  it('refuses a run whose gates did not pass, or whose evidence is about another model file', async () => {
    const workspace = testWorkspace();
    const registration = await sampleRegistration(workspace, await sampleRequest(workspace));
    const { registerRelease } = createReleaseActivities(workspace);
    await expect(
      registerRelease({ ...registration, judged: { ...registration.judged, passed: false } }),
    ).rejects.toMatchObject({ code: 'GATES_FAILED' });
    const other = await workspace.blobs.put(Buffer.from('another graph'));
    await expect(
      registerRelease({ ...registration, training: { ...registration.training, onnx: other } }),
    ).rejects.toMatchObject({ code: 'RELEASE_TAMPERED' });
    const unjudged = { ...registration.judged, audit: { ...registration.judged.audit, sequence: 77 } };
    await expect(registerRelease({ ...registration, judged: unjudged })).rejects.toMatchObject({
      code: 'AUDIT_BROKEN',
    });
  });

  it('asks for the larger of the approvals of spec and policy, and marks what needed none', async () => {
    const strict = testWorkspace({ policy: testPolicy({ minApprovals: 3, production: true }) });
    expect(await strict.registry.manifest((await publishRelease(strict, { approvers: [] })).ref)).toMatchObject({
      approvalsRequired: 3,
      production: true,
    });
    const loose = testWorkspace({ policy: testPolicy({ production: true }) });
    expect(
      await loose.registry.manifest((await publishRelease(loose, { spec: unapproved, approvers: [] })).ref),
    ).toMatchObject({ approvalsRequired: 0, production: false });
  });
});

describe('I2 a release serves only when signature, digest and approvals verify', () => {
  const served = async (change: (made: Awaited<ReturnType<typeof scene>>) => void | Promise<void>): Promise<string> => {
    const made = await scene();
    expect((await made.registry.verify(made.ref, 'promote')).version).toBe(1);
    await change(made);
    return made.registry.verify(made.ref, 'serve').then(
      () => 'served',
      (error: { code: string }) => error.code,
    );
  };
  const scene = async () => {
    const memory = createMemoryStore();
    const workspace = testWorkspace({ store: memory });
    return { ...workspace, memory, ...(await publishRelease(workspace)) };
  };
  const flip = (bytes: Uint8Array, at: number): Uint8Array =>
    bytes.map((byte, index) => (index === at ? byte ^ 1 : byte));

  it('refuses a model file with one byte changed, or gone', async () => {
    expect(
      await served(async ({ memory, registry, ref }) => {
        const key = keys.blob((await registry.manifest(ref)).onnx);
        memory.objects.set(key, flip(memory.objects.get(key)!, 3));
      }),
    ).toBe('RELEASE_TAMPERED');
    expect(
      await served(
        async ({ memory, registry, ref }) => void memory.objects.delete(keys.blob((await registry.manifest(ref)).onnx)),
      ),
    ).toBe('RELEASE_TAMPERED');
  });

  it('refuses a manifest or signature with any byte changed', async () => {
    for (const key of [keys.releaseManifest(MODEL, 1), keys.releaseBundle(MODEL, 1)])
      for (const part of [0.1, 0.5, 0.9])
        expect(
          await served(({ memory }) => {
            const bytes = memory.objects.get(key)!;
            memory.objects.set(key, flip(bytes, Math.floor(bytes.length * part)));
          }),
        ).toBe('RELEASE_TAMPERED');
  });

  it('refuses a release without its signature, and one with the signature of another', async () => {
    expect(await served(({ memory }) => void memory.objects.delete(keys.releaseBundle(MODEL, 1)))).toBe(
      'RELEASE_TAMPERED',
    );
    expect(
      await served(async (made) => {
        await publishRelease(made, { run: runId(2), approvers: [] });
        made.memory.objects.set(keys.releaseBundle(MODEL, 1), made.memory.objects.get(keys.releaseBundle(MODEL, 2))!);
      }),
    ).toBe('RELEASE_TAMPERED');
  });

  it('refuses a manifest that was written and signed anew without an entry', async () => {
    expect(
      await served(async ({ memory, registry, ref }) => {
        const manifest: ReleaseManifest = { ...(await registry.manifest(ref)), approvalsRequired: 0 };
        memory.objects.set(keys.releaseManifest(MODEL, 1), canonicalBytes(manifest));
      }),
    ).toBe('RELEASE_TAMPERED');
  });

  it('refuses a manifest that the control key signed without its own registration in the log', async () => {
    const made = await scene();
    const manifest = await made.registry.manifest(made.ref);
    const forge = async (change: Partial<ReleaseManifest>): Promise<string> => {
      const forged = { ...manifest, ...change };
      const ref = { ...made.ref, digest: digestOfJson(forged) };
      made.memory.objects.set(keys.releaseManifest(MODEL, 1), canonicalBytes(forged));
      made.memory.objects.set(
        keys.releaseBundle(MODEL, 1),
        signRelease(made.signer, subjectOf(ref), signedFiles(forged, ref.digest)),
      );
      return made.registry.verify(ref, 'serve').then(
        () => 'served',
        (error: { code: string }) => error.code,
      );
    };
    expect(await forge({})).toBe('served');
    expect(await forge({ approvalsRequired: 0 })).toBe('RELEASE_TAMPERED');
    const data = { content: contentOfRelease(manifest) };
    const other = await made.audit.append(MODEL, {
      ...{
        id: 'other',
        kind: 'monitor.looked',
        actor: 'process:control',
        summary: 'not a registration',
        data,
        evidence: [],
      },
    });
    expect(await forge({ audit: other })).toBe('RELEASE_TAMPERED');
  });

  it('refuses a signature that covers other files, or more', async () => {
    const made = await scene();
    const manifest = await made.registry.manifest(made.ref);
    const right = signedFiles(manifest, made.ref.digest);
    const verifyWith = async (files: typeof right): Promise<string> => {
      made.memory.objects.set(keys.releaseBundle(MODEL, 1), signRelease(made.signer, subjectOf(made.ref), files));
      return made.registry.verify(made.ref, 'serve').then(
        () => 'served',
        (error: { code: string }) => error.code,
      );
    };
    expect(await verifyWith(right)).toBe('served');
    expect(await verifyWith(right.slice(1))).toBe('RELEASE_TAMPERED');
    expect(await verifyWith(right.map((file) => ({ ...file, digest: made.ref.digest })))).toBe('RELEASE_TAMPERED');
    expect(await verifyWith([...right, { name: 'extra', digest: made.ref.digest }])).toBe('RELEASE_TAMPERED');
  });

  it('I3 does not count approvals of another release that were put beside this one', async () => {
    const made = await scene();
    await publishRelease(made, { run: runId(2) });
    const stored = (version: number): string[] =>
      [...made.memory.objects.keys()].filter((key) => key.startsWith(keys.approvals(MODEL, version)));
    for (const key of stored(1)) made.memory.objects.delete(key);
    for (const key of stored(2))
      made.memory.objects.set(
        key.replace(keys.approvals(MODEL, 2), keys.approvals(MODEL, 1)),
        made.memory.objects.get(key)!,
      );
    expect(stored(1)).toHaveLength(2);
    await expect(made.registry.verify(made.ref, 'serve')).rejects.toThrow('an approval of another release');
  });

  it('I3 does not count the approval of who started the run, even when it was recorded', async () => {
    const made = await scene();
    const { ref, evidence } = await publishRelease(made, { run: runId(2), approvers: [testKeys.ana] });
    const envelope = signApproval(testKeys.developer, { release: ref, evidence });
    const data = { approval: decisionDigest(envelope), decision: 'approve' };
    const audit = await made.audit.append(MODEL, {
      ...{ id: 'forced', kind: 'approval.recorded', actor: 'person:developer', summary: 'forced', data, evidence: [] },
    });
    await storeApproval(made.store, ref, { envelope, audit });
    await expect(made.registry.verify(ref, 'serve')).rejects.toThrow('person:developer started the run');
  });

  it('I7 is registered and approved in the log before it is there', async () => {
    const memory = createMemoryStore();
    const seen: string[] = [];
    memory.fault = (operation, key) => {
      if (operation === 'create' && !key.startsWith('blobs/')) seen.push(key.split('/')[0]!);
      return 'none';
    };
    await publishRelease(testWorkspace({ store: memory }), { approvers: [testKeys.ana] });
    expect(seen).toEqual(['audit', 'audit', 'releases', 'releases', 'audit', 'releases']);
  });

  it('refuses a release whose approvals are too few, or whose entries are gone', async () => {
    const approvals = (made: { memory: ReturnType<typeof createMemoryStore> }): string[] =>
      [...made.memory.objects.keys()].filter((key) => key.startsWith(keys.approvals(MODEL, 1)));
    expect(await served((made) => void made.memory.objects.delete(approvals(made)[0]!))).toBe('RELEASE_UNAPPROVED');
    expect(
      await served((made) => {
        const key = approvals(made)[0]!;
        const { audit } = JSON.parse(Buffer.from(made.memory.objects.get(key)!).toString()) as {
          audit: { sequence: number };
        };
        made.memory.objects.delete(keys.auditEntry(MODEL, audit.sequence));
      }),
    ).toBe('RELEASE_UNAPPROVED');
  });

  it('does not let an expired or left key stop serving, but promotion', async () => {
    const memory = createMemoryStore();
    const { ref } = await publishRelease(testWorkspace({ store: memory }));
    const clock = testClock('2001-03-03T00:00:00.000Z');
    for (const change of [
      { expiresAt: '2001-03-02T00:00:00.000Z' },
      { revoked: { at: '2001-03-02T00:00:00.000Z', reason: 'left' as const } },
    ]) {
      const { registry } = testWorkspace({ store: memory, clock, policy: testPolicy({}, { ana: change }) });
      expect((await registry.verify(ref, 'serve')).version).toBe(1);
      await expect(registry.verify(ref, 'promote')).rejects.toMatchObject({ code: 'KEY_REVOKED' });
    }
  });

  it('stops serving for a compromised key of an approver or of the control plane', async () => {
    const memory = createMemoryStore();
    const { ref } = await publishRelease(testWorkspace({ store: memory }));
    const compromised = { revoked: { at: '2001-04-01T00:00:00.000Z', reason: 'compromised' as const } };
    for (const changes of [{ ana: compromised }, { control: compromised }]) {
      const { registry } = testWorkspace({ store: memory, policy: testPolicy({}, changes) });
      await expect(registry.verify(ref, 'serve')).rejects.toMatchObject({ code: 'KEY_REVOKED' });
    }
  });

  it('counts people, not keys, and heeds a rejection', async () => {
    const workspace = testWorkspace();
    const published = await publishRelease(workspace, { approvers: [testKeys.ana, testKeys.anaSecond] });
    await expect(workspace.registry.verify(published.ref, 'serve')).rejects.toMatchObject({
      code: 'RELEASE_UNAPPROVED',
    });
    await approve(workspace, published, testKeys.ben);
    expect((await workspace.registry.verify(published.ref, 'serve')).version).toBe(1);
  });

  it('refuses a release of another workspace, an unknown version and a digest that is not the one stored', async () => {
    const memory = createMemoryStore();
    const workspace = testWorkspace({ store: memory });
    const { ref } = await publishRelease(workspace);
    const elsewhere = testWorkspace({ store: memory, policy: testPolicy({ workspace: 'prod' }) });
    await expect(elsewhere.registry.verify(ref, 'serve')).rejects.toMatchObject({ code: 'WORKSPACE_MISMATCH' });
    await expect(workspace.registry.verify({ ...ref, version: 2 }, 'serve')).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    await expect(
      workspace.registry.verify({ ...ref, digest: `sha256:${'0'.repeat(64)}` }, 'serve'),
    ).rejects.toMatchObject({ code: 'RELEASE_TAMPERED' });
  });

  it('keeps a release that needed no approval out of a production workspace', async () => {
    const memory = createMemoryStore();
    const { ref } = await publishRelease(testWorkspace({ store: memory }), { spec: unapproved, approvers: [] });
    const production = testWorkspace({ store: memory, policy: testPolicy({ production: true }) });
    await expect(production.registry.verify(ref, 'serve')).rejects.toMatchObject({
      code: 'RELEASE_UNAPPROVED',
      message: expect.stringContaining('not for production: nobody had to approve it') as string,
    });
  });

  it('does not say of a release that people approved that nobody had to', async () => {
    const memory = createMemoryStore();
    const { ref } = await publishRelease(testWorkspace({ store: memory }));
    const production = testWorkspace({ store: memory, policy: testPolicy({ production: true }) });
    await expect(production.registry.verify(ref, 'serve')).rejects.toMatchObject({
      code: 'RELEASE_UNAPPROVED',
      message: expect.stringContaining('not for production: it was registered under a development policy') as string,
    });
  });

  it('verifies on the file system as in memory', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'slipway-registry-'));
    try {
      const workspace = testWorkspace({ store: createFsStore(folder) });
      const { ref } = await publishRelease(workspace);
      expect(await workspace.registry.verify(ref, 'promote')).toMatchObject({ version: 1, approvalsRequired: 2 });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
