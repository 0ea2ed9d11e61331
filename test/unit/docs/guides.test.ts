import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse } from 'yaml';
import { createTrust, parsePolicy } from '../../../infra/signing/trust';
import { parseSpec } from '../../../infra/spec/parse';
import { createMetrics } from '../../../infra/telemetry/metrics';
import { GatewayMetrics } from '../../../workers/gateway/metrics';
import { AUDIT_KINDS } from '../../../workflows/domain/audit';
import { ERRORS } from '../../../workflows/domain/errors';
import { ROLLOUT_OUTCOMES } from '../../../workflows/domain/rollout';
import { parseOnly, readGuide, REPOSITORY, slipwayLines } from '../../support/guide';

const GUIDES = ['rollouts.md', 'audit.md', 'approvals.md'] as const;

const source = (path: string): string => readFileSync(join(REPOSITORY, path), 'utf8');

describe('the guides', () => {
  const commands = GUIDES.flatMap((guide) =>
    slipwayLines(readGuide(guide).blocks('sh')).map((args) => [guide, args.join(' '), args] as const),
  );

  it.each(commands)('%s: slipway %s is a command with these options', async (_, __, args) => {
    expect(await parseOnly(args)).toBeNull();
  });

  it('are checked by something that can refuse', async () => {
    expect(await parseOnly(['deployment', 'divert', 'a/b'])).toContain("missing required argument 'version'");
    expect(await parseOnly(['rollback', 'a/b', '--now'])).toContain("unknown option '--now'");
  });

  it('link to pages that exist', () => {
    const pages = readdirSync(join(REPOSITORY, 'docs')).filter((name) => name.endsWith('.md'));
    const dead = pages.flatMap((page) =>
      [...readGuide(page).text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)]
        .map(([, target]) => target!)
        .filter((target) => !existsSync(join(REPOSITORY, 'docs', dirname(page), target)))
        .map((target) => `${page} -> ${target}`),
    );
    expect(dead).toEqual([]);
  });
});

describe('docs/rollouts.md', () => {
  const { text, blocks } = readGuide('rollouts.md');

  it('shows a rollout section that a spec may hold', () => {
    const base = source('client/examples/flights/late-arrival.yaml').replace(/^rollout:\n(?: .*\n)+/m, '');
    const [section] = blocks('yaml');
    expect(base).not.toContain('rollout:');
    expect(parseSpec(`${base}\n${section!}`, { file: 'model.yaml' }).rollout).toMatchObject({
      steps: [
        { weight: 0.05, forMs: 3_600_000 },
        { weight: 0.5, forMs: 86_400_000 },
      ],
      errors: { margin: 0.01, alpha: 0.05, minKeys: 100 },
      disagreement: { max: 0.07, minKeys: 200 },
      quality: { require: 'better', margin: 0.01, minDays: 5 },
    });
  });

  it('names outcomes that there are', () => {
    const named = [...text.matchAll(/outcome `([a-z-]+)`(?: or `([a-z-]+)`)?/g)].flatMap(([, one, other]) =>
      other === undefined ? [one!] : [one!, other],
    );
    expect(named.length).toBeGreaterThanOrEqual(4);
    for (const outcome of named) expect(ROLLOUT_OUTCOMES).toContain(outcome);
  });
});

describe('docs/audit.md', () => {
  const { text } = readGuide('audit.md');

  it('names every kind of entry, and no other', () => {
    const named = [...text.matchAll(/`([a-z]+\.[a-z]+)`/g)].map(([, kind]) => kind!);
    expect(named.filter((kind) => kind !== 'head.json').sort()).toEqual([...AUDIT_KINDS].sort());
  });

  it('names every kind of problem that verifying finds', () => {
    const kinds = /AuditProblemKind = ([^;]+);/.exec(source('infra/audit/verify-chain.ts'))![1]!;
    const table = [...text.matchAll(/^\| `([a-z]+)` \|/gm)].map(([, kind]) => kind!);
    expect(table.sort()).toEqual([...kinds.matchAll(/'([a-z]+)'/g)].map(([, kind]) => kind!).sort());
  });
});

describe('docs/approvals.md', () => {
  const { text, blocks } = readGuide('approvals.md');

  it('names every code that an approval is refused with', () => {
    const thrown = ['infra/signing/trust.ts', 'infra/signing/dsse.ts', 'activities/approval/approval.ts']
      .flatMap((path) => [...source(path).matchAll(/SlipwayError\(\s*'([A-Z_]+)'/g)])
      .map(([, code]) => code!)
      .filter((code) => code !== 'CONFIG_INVALID' && code !== 'AUDIT_BROKEN');
    const table = [...text.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, code]) => code!);
    expect([...table].sort()).toEqual([...new Set(thrown)].sort());
    for (const code of table) expect(Object.keys(ERRORS)).toContain(code);
  });

  it('shows a trust file that is one', () => {
    const trust = createTrust(parsePolicy(blocks('json')[0]!, 'trust.json'));
    expect(trust.policy).toMatchObject({ workspace: 'prod', minApprovals: 2, production: true });
  });

  it('shows alerts on metrics that a gateway has', async () => {
    const { groups } = parse(blocks('yaml')[0]!) as { groups: { rules: { expr: string }[] }[] };
    const metrics = new GatewayMetrics(createMetrics('gateway'), {
      queuedRows: () => 0,
      running: () => 0,
      models: () => [],
      predictionLog: () => ({ rows: 0, dropped: 0 }),
      compromised: () => ['a/b'],
      failedTrustLooks: () => 1,
    });
    const told = await metrics.registry.metrics();
    expect(told).toContain('slipway_key_compromised_in_use{model="a/b",process="gateway"} 1');
    const named = groups.flatMap(({ rules }) => rules.map(({ expr }) => /slipway_[a-z_]+/.exec(expr)![0]));
    expect(named).toHaveLength(2);
    for (const name of named) expect(told).toContain(`# TYPE ${name} `);
  });
});
