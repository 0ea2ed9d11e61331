import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { explainSpec } from '../../../infra/spec/explain';
import { nearest } from '../../../infra/spec/nearest';
import { parseSpec } from '../../../infra/spec/parse';
import { specSchemaJson } from '../../../infra/spec/schema';
import { formatDuration, parseDuration } from '../../../infra/spec/units';
import { SMALL_SPEC } from './spec-text';

const root = join(__dirname, '../../..');

it('docs/model.schema.json is the schema that specs are read with', () => {
  expect(readFileSync(join(root, 'docs/model.schema.json'), 'utf8')).toBe(specSchemaJson());
});

it('every spec in docs/spec.md is accepted', () => {
  const examples = [...readFileSync(join(root, 'docs/spec.md'), 'utf8').matchAll(/```yaml\n(model: [\s\S]*?)```/g)];
  expect(examples.length).toBeGreaterThanOrEqual(2);
  for (const [, text] of examples) expect(parseSpec(text!, { file: 'model.yaml' }).schema).toBe('slipway/model/v1');
});

it('every field of the schema is described in docs/spec.md', () => {
  const page = readFileSync(join(root, 'docs/spec.md'), 'utf8');
  const names = new Set<string>();
  const collect = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    const { properties, ...rest } = node as { properties?: Record<string, unknown> };
    Object.entries(properties ?? {}).forEach(([name, child]) => {
      names.add(name);
      collect(child);
    });
    Object.values(rest).forEach(collect);
  };
  collect(JSON.parse(specSchemaJson()));
  expect(names.size).toBeGreaterThan(50);
  expect([...names].filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
});

it('explains the splits of an as-of, the gates and the steps in sentences', () => {
  const spec = parseSpec(`${SMALL_SPEC}approvals: { required: 2 }\n`, { file: '/work/shop/model.yaml' });
  const text = explainSpec(spec, new Date('2024-03-15T00:00:00Z'));
  expect(text).toContain('train      from the first row to 2024-03-01 00:00Z');
  expect(text).toContain('validation 2024-03-01 00:00Z to 2024-03-08 00:00Z');
  expect(text).toContain('holdout    2024-03-08 00:00Z to 2024-03-15 00:00Z');
  expect(text).toContain('price: number in EUR, from 0 to 100000, must be there. An invalid value is refused.');
  expect(text).toContain('logLoss must be better than that of a constant prediction.');
  expect(text).toContain('2 different people');
  expect(text).toContain('5 % for 1h, then 25 % for 6h, then 50 % for 1d');
});

it('says when answers are calibrated, and leaves the default out of what is digested', () => {
  const spec = (serving: string) => parseSpec(`${SMALL_SPEC}serving: ${serving}\n`, { file: 'model.yaml' });
  expect(spec('{ calibration: request }')).toEqual(spec('{}'));
  expect(spec('{}').serving).not.toHaveProperty('calibration');
  expect(spec('{ calibration: always }').serving.calibration).toBe('always');
  expect(explainSpec(spec('{ calibration: always }'), new Date(0))).toContain(
    'Every answer has calibrated probabilities; a model without a map does not pass.',
  );
  expect(explainSpec(spec('{}'), new Date(0))).toContain('where the request asks for them and the release has a map');
  const regression = SMALL_SPEC.replace('task: binary', 'task: regression');
  expect(() => parseSpec(`${regression}serving: { calibration: always }\n`, { file: 'model.yaml' })).toThrow(
    'serving.calibration: expected nothing here: calibrated probabilities are of a binary task',
  );
});

it('explains what each step has to show of disagreement, and which ends before a whole day', () => {
  const text = (rollout: string): string =>
    explainSpec(parseSpec(`${SMALL_SPEC}rollout: ${rollout}\n`, { file: 'model.yaml' }), new Date(0));
  const days = text('{ steps: [{ weight: 10%, for: 2h }, { weight: 50%, for: 6d }], disagreement: { max: 0.08 } }');
  expect(days).toContain(
    'by more than 0.08 on the mean whole day (from 3 days on), or by more than 0.16 over the hours seen',
  );
  expect(days).toContain('step 1 has to show less than 0.16 over the hours seen: it is too short for a whole day');
  expect(days).toContain('step 2 has to show that such days differ by less than 0.08 on average');
  const minutes = text('{ steps: [{ weight: 10%, for: 5m }], disagreement: { max: 0.08, gross: 0.2 } }');
  expect(minutes).toContain(
    'step 1 has to show less than 0.08 over the hours seen: it is too short for a whole day, so nothing',
  );
});

it('explains that a first release in shadow gets no requests', () => {
  const text = (bootstrap: string): string =>
    explainSpec(parseSpec(`${SMALL_SPEC}rollout: { bootstrap: ${bootstrap} }\n`, { file: 'model.yaml' }), new Date(0));
  expect(text('direct')).toContain('The first release serves at once.');
  expect(text('shadow')).toContain('The first release is registered and gets no requests until `promote-now`.');
});

it.each(['late-arrival', 'challenger', 'kilometres', 'utc-hours'])('the example %s is a valid spec', (name) => {
  const file = join(root, 'client/examples/flights', `${name}.yaml`);
  expect(parseSpec(readFileSync(file, 'utf8'), { file })).toMatchObject({
    model: 'flights/late-arrival',
    clock: 'event',
    approvals: { required: 2 },
  });
});

it.each([
  ['eventtime', 'eventTime'],
  ['event_time', 'eventTime'],
  ['lable', 'label'],
  ['frm', 'from'],
])('suggests for %s the key %s', (typed, meant) => {
  expect(nearest(typed, ['label', 'from', 'eventTime', 'id'])).toBe(meant);
});

it('suggests nothing where every key is far away', () => {
  expect(nearest('quarantine', ['id', 'from'])).toBeUndefined();
});

it.each(['0s', '250ms', '30s', '15m', '6h', '14d'])('writes the duration %s as it was read', (text) => {
  expect(formatDuration(parseDuration(text)!)).toBe(text);
});
