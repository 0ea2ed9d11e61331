import { createAdmissionActivities } from '../../../activities/admission/admission';
import { createRoutingActivities } from '../../../activities/routing/routing';
import { keys } from '../../../workflows/domain/keys';
import type { ReleaseRef } from '../../../workflows/domain/release';
import { MODEL, publishRelease, runId, sampleRequest } from '../../support/release-fixture';
import { testWorkspace, type TestWorkspace } from '../../support/workspace';

async function serve(workspace: TestWorkspace, release: ReleaseRef): Promise<void> {
  await createRoutingActivities(workspace).commitRoute({
    ...{ model: MODEL, onGeneration: 0, intent: 'first', reason: 'first', actor: 'process:control', state: 'serving' },
    ...{ arms: [{ name: 'champion', release, weight: 1 }], shadows: [], paired: false, rollout: null, evidence: [] },
  });
}

async function finish(workspace: TestWorkspace, release: ReleaseRef): Promise<string> {
  const request = await sampleRequest(workspace, runId(1));
  const { finishRun } = createAdmissionActivities(workspace);
  const ended = { request, outcome: 'promoted', detail: 'all passed', version: release.version } as const;
  return finishRun(ended).then(
    () => 'recorded',
    (error: { code: string }) => error.code,
  );
}

async function recorded(workspace: TestWorkspace): Promise<unknown> {
  return JSON.parse(Buffer.from((await workspace.store.get(keys.runResult(MODEL, runId(1))))!).toString());
}

describe('a run that says it was promoted', () => {
  it('is believed when the log holds the route that gave its release to all callers', async () => {
    const workspace = testWorkspace();
    const { ref } = await publishRelease(workspace, { run: runId(1) });
    await serve(workspace, ref);
    expect(await finish(workspace, ref)).toBe('recorded');
    expect(await recorded(workspace)).toMatchObject({ outcome: 'promoted', version: 1 });
  });

  it('is not when somebody only signalled so: anybody who reaches Temporal can', async () => {
    const workspace = testWorkspace();
    const { ref: other } = await publishRelease(workspace, { run: runId(2) });
    const { ref } = await publishRelease(workspace, { run: runId(1) });
    await serve(workspace, other);
    expect(await finish(workspace, ref)).toBe('COMMAND_REFUSED');
    expect(await recorded(workspace)).toMatchObject({ outcome: 'failed', code: 'COMMAND_REFUSED' });
    const entries = [];
    for await (const entry of workspace.audit.entries(MODEL)) entries.push(entry);
    expect(entries.at(-1)).toMatchObject({ kind: 'run.finished', data: { outcome: 'failed' } });
  });
});
