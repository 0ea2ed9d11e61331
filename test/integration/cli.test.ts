import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { ELEMENT, GraphBuilder } from '../../infra/onnx/graph-builder';
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
    expect(again.stderr).toMatch(/^USAGE: model\.yaml exists already.*\nnext: Name another folder/);
  });

  it('writes the columns of data that is there into the spec', async () => {
    writeFileSync(
      join(folder, 'rows.csv'),
      'id,at,age,plan,label\na,2024-01-01 10:00:00,3,,1\nb,2024-01-02 10:00:00,4,pro,0\n',
    );
    const ended = await slipway('init', '--model', 'retail/churn', '--data', 'rows.csv');
    expect(ended.stdout).toContain('features: age (integer), plan (category)');
    const { stdout } = await slipway('spec', 'check', 'model.yaml', '--json');
    expect(JSON.parse(stdout)).toMatchObject({
      data: { id: 'id', eventTime: 'at' },
      features: [
        { name: 'age', nullable: false },
        { name: 'plan', nullable: true },
      ],
    });
  });

  it('prints its version', async () => {
    const { version } = JSON.parse(readFileSync(resolve(__dirname, '../../package.json'), 'utf8')) as {
      version: string;
    };
    expect(await slipway('--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
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

  it('explains the splits that a run of today would have', async () => {
    await slipway('init', '--model', 'retail/churn');
    expect((await slipway('spec', 'check', 'model.yaml')).stdout).toMatch(/As of \d{4}-\d{2}-\d{2} 00:00Z:/);
    const wrong = await slipway('spec', 'check', 'model.yaml', '--as-of', 'yesterday');
    expect([wrong.code, wrong.stderr.split(':')[0]]).toEqual([2, 'USAGE']);
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

  it.each([['status'], ['rollback'], ['deployment', 'freeze']])(
    'finds no model of that name for %j, also while Temporal is away',
    async (...command) => {
      const ended = await slipway(...command.flat(), 'you/nope');
      expect([ended.code, ended.stderr.split(':')[0]]).toEqual([7, 'NOT_FOUND']);
    },
  );

  it('says of a file that is not there what to check', async () => {
    const ended = await slipway('run', 'nofile.yaml');
    expect(ended.code).toBe(7);
    expect(ended.stderr).toMatch(/^NOT_FOUND: there is no file nofile\.yaml\nnext: Check the path/);
  });

  it('says where it looked for a gateway, and how to start one', async () => {
    const ended = await slipway('predict', 'a/b', '--input', '{}', '--gateway', 'http://127.0.0.1:1');
    expect(ended.code).toBe(6);
    expect(ended.stderr).toMatch(/^GATEWAY_UNAVAILABLE: no gateway answers at http:\/\/127\.0\.0\.1:1\/.*\nnext: .*up/);
  });

  it('says that Temporal does not answer, and exits with 6', async () => {
    const manifest = join(folder, 'state/dev/store/releases/a/b/000000000001/manifest.json');
    mkdirSync(dirname(manifest), { recursive: true });
    writeFileSync(manifest, '{}');
    const ended = await slipway('rollback', 'a/b');
    expect(ended.stderr).toContain('next:');
    expect([ended.code, ended.stderr.split(':')[0]]).toEqual([2, 'CONFIG_INVALID']); // no key yet
    await slipway('keys', 'create', 'developer', '--person', 'person:dev', '--role', 'operator');
    const signed = await slipway('rollback', 'a/b');
    expect([signed.code, signed.stderr.split('\n')[0]]).toEqual([
      6,
      'TEMPORAL_UNAVAILABLE: no Temporal server answers at 127.0.0.1:1',
    ]);
  });

  it('lists the names that --key takes, and says so where another was given', async () => {
    const created = await slipway('keys', 'create', 'eva', '--person', 'person:eva', '--role', 'approver', '--json');
    const { trust } = JSON.parse(created.stdout) as { trust: { keyId: string } };
    const policy = { workspace: 'dev', keys: [trust], minApprovals: 0, production: false };
    writeFileSync(join(folder, 'state/dev/trust.json'), JSON.stringify(policy));
    const listed = await slipway('keys', 'list');
    expect(listed.stdout).toMatch(new RegExp(`^eva +${trust.keyId} +person:eva`, 'm'));
    const wrong = await slipway('approve', 'a/b', '--run', 'r-0123456789-1', '--key', 'eve');
    expect(wrong.stderr).toMatch(/^CONFIG_INVALID: there is no private key eve .*\nnext: .*slipway keys list/);
  });

  it('loads neither Temporal, DuckDB, ONNX Runtime nor the AWS client before a command needs it', () => {
    const program = JSON.stringify(resolve(__dirname, '../../client/cli/program.ts'));
    const code = `require(${program}).buildProgram(); console.log(Object.keys(require.cache).join('\\n'))`;
    const [node, ...args] = nodeEntry('x.ts').slice(0, -1);
    const loaded = execFileSync(node!, [...args, '-e', code], { encoding: 'utf8' });
    expect(loaded).toContain('commander');
    expect(loaded).not.toMatch(/@temporalio|@duckdb|onnxruntime|@aws-sdk/);
  });

  it('keeps a settings mistake apart from a defect', async () => {
    const ended = await slipway('status', '--workspace', 'Not A Name');
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain('CONFIG_INVALID: SLIPWAY_WORKSPACE');
  });
});

describe('slipway try', () => {
  /** As scikit-learn exports a classifier: a matrix without names, a label and two probabilities. */
  function writeClassifier(): void {
    const builder = new GraphBuilder();
    builder.input('X', 'float', ['N', 2]);
    const p = builder.op('Sigmoid', [builder.op('MatMul', ['X', builder.floats([1, -1], [2, 1])])]);
    const other = builder.op('Sub', [builder.floats([1], []), p]);
    builder.output(builder.op('Cast', [p], { to: ELEMENT.int64 }), 'int64', ['N', 1], 'label');
    builder.output(builder.op('Concat', [other, p], { axis: 1 }), 'float', ['N', 2], 'probabilities');
    writeFileSync(join(folder, 'model.onnx'), builder.modelBytes('classifier'));
  }

  it('scores rows by a matrix model, with its latency, and leaves nothing behind', async () => {
    writeClassifier();
    writeFileSync(join(folder, 'rows.csv'), 'name,plus,minus\nx,3,1\ny,1,\n');
    const ended = await slipway('try', 'model.onnx', 'rows.csv', '--json');
    const { rows, latency, changes } = JSON.parse(ended.stdout) as {
      rows: { plus: number; score: number | null }[];
      latency: { calls: number; p50Ms: number; p99Ms: number };
      changes: string[];
    };
    expect(changes[0]).toBe('matrix X is made of plus, minus, in this order');
    expect(rows[0]).toMatchObject({ plus: 3, minus: 1, score: expect.closeTo(1 / (1 + Math.exp(-2)), 5) as number });
    expect(rows[1]!.score).toBeNull(); // A missing value, which a logistic model answers with NaN.
    expect(latency.calls).toBeGreaterThan(10);
    expect(latency.p50Ms).toBeLessThanOrEqual(latency.p99Ms);
    expect(readdirSync(folder).sort()).toEqual(['model.onnx', 'rows.csv']);
  });

  it('takes a model that gives class probabilities for a classifier', async () => {
    writeClassifier();
    writeFileSync(join(folder, 'rows.csv'), 'plus,minus\n3,1\n1,2\n');
    const ended = await slipway('try', 'model.onnx', 'rows.csv', '--json');
    expect(JSON.parse(ended.stdout)).toMatchObject({ signature: { task: 'binary' } });
  });

  it('names the column that is text where the model takes a number, and a model that is not there', async () => {
    writeClassifier();
    writeFileSync(join(folder, 'rows.csv'), 'plus,plan\n3,pro\n1,basic\n');
    const refused = await slipway('try', 'model.onnx', 'rows.csv', '--features', 'plus,plan');
    expect(refused.code).toBe(3);
    expect(refused.stderr).toMatch(
      /^DATA_SCHEMA: rows\.csv: column plan is text \("(pro|basic)"\), and the model takes it as number/,
    );
    const missing = await slipway('try', 'nofile.onnx', 'rows.csv');
    expect([missing.code, missing.stderr.split('\n')[0]]).toEqual([7, 'NOT_FOUND: there is no file nofile.onnx']);
  });

  it('says which option names the features where the data has more numbers than the model takes', async () => {
    writeClassifier();
    writeFileSync(join(folder, 'rows.csv'), 'plus,minus,label\n3,1,1\n1,2,0\n');
    const refused = await slipway('try', 'model.onnx', 'rows.csv');
    expect(refused.code).toBe(3);
    expect(refused.stderr).toMatch(/MODEL_SIGNATURE: .*3 numeric columns \(plus, minus, label\).*--features <a,b,…>/);
    const named = await slipway('try', 'model.onnx', 'rows.csv', '--features', 'minus,plus', '--json');
    const { rows } = JSON.parse(named.stdout) as { rows: { score: number }[] };
    expect(rows[0]!.score).toBeCloseTo(1 / (1 + Math.exp(2)), 5);
  });
});
