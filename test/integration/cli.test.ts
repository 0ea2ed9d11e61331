import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { nodeEntry } from '../../infra/process/node-entry';

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-cli-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** The real program, in a workspace that nothing runs for. */
function slipway(...args: string[]): Promise<Ended> {
  const [program, ...rest] = [...nodeEntry(resolve(__dirname, '../../client/cli/slipway.ts')), ...args];
  const env = {
    PATH: process.env['PATH'],
    HOME: process.env['HOME'],
    SLIPWAY_STATE: join(folder, 'state'),
    TEMPORAL_ADDRESS: '127.0.0.1:1',
  };
  return new Promise((settle) => {
    execFile(program!, rest, { cwd: folder, env }, (error, stdout, stderr) =>
      settle({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

describe('the program', () => {
  it.each([
    [['nonsense'], "unknown command 'nonsense'"],
    [['run'], "missing required argument 'spec'"],
    [['approve', 'a/b'], "required option '--key <name>' not specified"],
    [['run', 'model.yaml', '--cause', 'boredom'], 'Allowed choices are'],
  ])('ends %j with the exit code of USAGE, saying what is wrong', async (args, message) => {
    const ended = await slipway(...args);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain(message);
  });

  it('writes a spec that it then finds right, and never over one that exists', async () => {
    expect((await slipway('init', '--model', 'retail/churn', '--data', 'rows.parquet')).code).toBe(0);
    expect((await slipway('spec', 'check', 'model.yaml')).stdout).toContain('retail/churn');
    const again = await slipway('init', '--model', 'retail/churn');
    expect(again.code).toBe(2);
    expect(again.stderr).toContain('USAGE');
  });

  it('names file, line and nearest key of a wrong spec, and exits with 2', async () => {
    await slipway('init', '--model', 'retail/churn');
    const text = readFileSync(join(folder, 'model.yaml'), 'utf8').replace('owner:', 'ownr:');
    writeFileSync(join(folder, 'model.yaml'), text);
    const ended = await slipway('spec', 'check', 'model.yaml');
    expect(ended.code).toBe(2);
    expect(ended.stderr).toMatch(/SPEC_INVALID: model\.yaml:\d+/);
    expect(ended.stderr).toContain('owner');
  });

  it('prints errors as JSON with --json', async () => {
    const ended = await slipway('release', 'show', 'a/b', '1', '--json');
    expect(ended.code).toBe(7);
    expect(JSON.parse(ended.stdout)).toEqual({
      error: {
        code: 'NOT_FOUND',
        message: 'model a/b has no release 1',
        advice: 'Check the name; `slipway status` lists what exists.',
        exit: 7,
      },
    });
  });

  it('says that Temporal does not answer, and exits with 6', async () => {
    const ended = await slipway('rollback', 'a/b');
    expect(ended.stderr).toContain('next:');
    expect([ended.code, ended.stderr.split(':')[0]]).toEqual([2, 'CONFIG_INVALID']); // no key yet
    await slipway('keys', 'create', 'developer', '--person', 'person:dev', '--role', 'operator');
    const signed = await slipway('rollback', 'a/b');
    expect([signed.code, signed.stderr.split(':')[0]]).toEqual([6, 'TEMPORAL_UNAVAILABLE']);
  });

  it('keeps a settings mistake apart from a defect', async () => {
    const ended = await slipway('status', '--workspace', 'Not A Name');
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain('CONFIG_INVALID: SLIPWAY_WORKSPACE');
  });
});
