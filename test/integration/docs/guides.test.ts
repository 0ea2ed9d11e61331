import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFsStore } from '../../../infra/object-store/fs-store';
import { nodeEntry } from '../../../infra/process/node-entry';
import { commitRoute } from '../../../infra/routes/writer';
import { publishRelease } from '../../support/release-fixture';
import { readGuide, REPOSITORY, slipwayLines } from '../../support/guide';
import { testPolicy, testWorkspace } from '../../support/workspace';

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-guides-'));
  const home = join(folder, 'state', 'dev');
  mkdirSync(home, { recursive: true });
  writeFileSync(join(home, 'trust.json'), JSON.stringify(testPolicy()));
  const workspace = testWorkspace({ store: createFsStore(join(home, 'store')) });
  const { ref } = await publishRelease(workspace);
  const { audit, reader, signer, store } = workspace;
  await commitRoute(
    { store, audit, reader, signer, workspace: 'dev' },
    {
      onGeneration: 0,
      reason: 'first release',
      actor: 'process:control',
      evidence: [],
      watermark: '2001-03-10T00:00:00.000Z',
      route: {
        model: ref.model,
        intent: 'intent-1',
        state: 'serving',
        arms: [{ name: 'champion', release: ref, weight: 1 }],
        shadows: [],
        paired: false,
        assignment: { source: 'request' },
        salt: 'salt',
        clock: 'event',
        challengerLeaseMs: 10_000,
        rollout: null,
      },
    },
  );
  writeFileSync(join(folder, 'head.json'), JSON.stringify(await audit.head(ref.model)));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number;
  readonly stdout: string;
}

/** The real program, in a workspace with one model and no servers. */
function slipway(args: readonly string[]): Promise<Ended> {
  const [program, ...rest] = [...nodeEntry(join(REPOSITORY, 'client/cli/slipway.ts')), ...args];
  const env = {
    PATH: process.env['PATH'],
    HOME: process.env['HOME'],
    SLIPWAY_STATE: join(folder, 'state'),
    TEMPORAL_ADDRESS: '127.0.0.1:1',
  };
  return new Promise((settle) => {
    execFile(program!, rest, { cwd: folder, env }, (error, stdout) =>
      settle({ code: error ? Number(error.code) : 0, stdout }),
    );
  });
}

/** The command of a guide that begins so; its page and nothing else decides the rest of it. */
function lineOf(guide: string, ...words: string[]): string[][] {
  const found = slipwayLines(readGuide(guide).blocks('sh')).filter((args) =>
    words.every((word, at) => args[at] === word),
  );
  expect(found.length).toBeGreaterThan(0);
  return found;
}

describe('docs/audit.md', () => {
  it('verifies, with and without a head that was written down', async () => {
    const ended = await Promise.all(lineOf('audit.md', 'audit', 'verify').map((args) => slipway(args)));
    for (const { code, stdout } of ended) {
      expect(code).toBe(0);
      expect(stdout).toContain('verified: 5 entries, 4 effects');
      expect(stdout).toMatch(/^head: \{"sequence":5,"digest":"sha256:[0-9a-f]{64}"\}$/m);
    }
  });

  it('exits with 4 when the head that was written down is not of this chain', async () => {
    const [args] = lineOf('audit.md', 'audit', 'verify').filter((line) => line.includes('--head'));
    writeFileSync(join(folder, 'other.json'), JSON.stringify({ sequence: 9, digest: `sha256:${'0'.repeat(64)}` }));
    const ended = await slipway(args!.map((word) => (word === 'head.json' ? 'other.json' : word)));
    expect(ended.code).toBe(4);
    expect(ended.stdout).toContain('"kind":"truncated"');
  });

  it('reads what was intended, what served, and on what it was let through', async () => {
    const [listed] = await Promise.all(lineOf('audit.md', 'audit', 'list').map((args) => slipway(args)));
    expect(listed!.stdout).toContain('route.intended');
    const [all, at, json] = await Promise.all(lineOf('audit.md', 'history').map((args) => slipway(args)));
    expect(all!.stdout).toContain('first release');
    expect(at!.stdout).toContain('person:ana');
    expect(at!.stdout).toContain('pass auc: 0.67');
    expect(JSON.parse(json!.stdout)).toMatchObject({
      clock: 'event',
      champion: { startedBy: 'person:developer', approvals: [{ person: 'person:ana' }, { person: 'person:ben' }] },
    });
  });
});

describe('docs/approvals.md', () => {
  it('makes a key whose line the trust file takes', async () => {
    const [create] = lineOf('approvals.md', 'keys', 'create');
    const made = await slipway([...create!, '--json']);
    const { file, trust } = JSON.parse(made.stdout) as { file: string; trust: object };
    expect(file.endsWith('eva.key.json')).toBe(true);
    expect(trust).toMatchObject({ person: 'person:eva', roles: [{ role: 'approver', project: 'flights' }] });
    const policy = testPolicy();
    const listed = { ...policy, keys: [...policy.keys, trust] };
    writeFileSync(join(folder, 'state', 'dev', 'trust.json'), JSON.stringify(listed));
    const [list] = lineOf('approvals.md', 'keys', 'list');
    expect((await slipway(list!)).stdout).toContain('person:eva');
  });
});
