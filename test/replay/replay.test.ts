import { join } from 'node:path';
import { Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { buildWorkflowBundle, workflowBundlePath } from '../../infra/temporal/bundle';
import { quietRuntime } from '../support/time-skipping';
import { payloadsOf, readHistories } from './histories';
import { scenarios } from './scenarios';

const stored = readHistories();
const toReplay = stored.map(({ workflowId, history }) => ({ workflowId, history }));

beforeAll(quietRuntime);

async function replay(workflowBundle: { codePath: string } | { code: string }): Promise<(Error | undefined)[]> {
  const errors: (Error | undefined)[] = [];
  for await (const { error } of Worker.runReplayHistories({ workflowBundle }, toReplay)) errors.push(error);
  return errors;
}

describe('I12: stored histories replay', () => {
  it('holds one of every path of every workflow', () => {
    const names = stored.map(({ name }) => name);
    expect(scenarios.filter(({ name }) => !names.includes(name)).map(({ name }) => name)).toEqual([]);
    expect([...new Set(names.map((name) => name.split('/')[0]))]).toEqual(['deployment', 'lifecycle', 'monitor']);
  });

  it('replays all of them with the workflow code as it is', async () => {
    expect(await replay({ codePath: await workflowBundlePath() })).toEqual(stored.map(() => undefined));
  }, 120_000);

  it('fails all of them with a workflow that was changed carelessly', async () => {
    const broken = await buildWorkflowBundle(join(__dirname, 'broken-workflows.ts'));
    const errors = await replay(broken);
    expect(errors.map((error) => error instanceof DeterminismViolationError)).toEqual(stored.map(() => true));
  }, 120_000);
});

describe('I10: what histories hold', () => {
  const LARGEST_PAYLOAD_BYTES = 64 * 1024;

  it('is bounded: no payload has more than 64 KiB, the fullest state that is carried over included', () => {
    const sizes = stored.flatMap(({ name, history }) =>
      payloadsOf(history).map(({ path, data }) => ({ at: `${name}${path}`, bytes: data.length })),
    );
    const largest = sizes.sort((a, b) => b.bytes - a.bytes)[0]!;
    expect(largest.at).toContain('much-carried');
    expect(largest.bytes).toBeGreaterThan(20 * 1024);
    expect(largest.bytes).toBeLessThan(LARGEST_PAYLOAD_BYTES);
  });

  it('has no secret and no path of a machine', () => {
    const secrets = /PRIVATE KEY|AKIA[0-9A-Z]{16}|"(password|secret|token)"|\/home\/|\/root\/|\/tmp\//i;
    const found = stored.filter(({ history, text }) => {
      const decoded = payloadsOf(history).map(({ data }) => Buffer.from(data).toString('utf8'));
      return [text, ...decoded].some((held) => secrets.test(held));
    });
    expect(found.map(({ name }) => name)).toEqual([]);
  });
});
