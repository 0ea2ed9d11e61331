import fc from 'fast-check';
import { parseSpec } from '../../../infra/spec/parse';
import { templateSpec } from '../../../infra/spec/template';
import { SlipwayError } from '../../../workflows/domain/errors';
import { SMALL_SPEC } from './spec-text';

const parse = (text: string) => parseSpec(text, { file: '/work/shop/model.yaml' });

/** Message of the refusal; fails where the spec is accepted. */
function refusal(text: string): string {
  try {
    parse(text);
  } catch (error) {
    expect(error).toBeInstanceOf(SlipwayError);
    expect((error as SlipwayError).code).toBe('SPEC_INVALID');
    return (error as Error).message;
  }
  throw new Error('the spec was accepted');
}

describe('parseSpec, well-formed', () => {
  it('fills in every default of a small spec', () => {
    const spec = parse(SMALL_SPEC);
    expect(spec).toMatchObject({
      schema: 'slipway/model/v1',
      model: 'shop/returns',
      clock: 'wall',
      data: {
        source: '/work/shop/rows.parquet',
        format: 'parquet',
        from: null,
        lastMs: null,
        validationMs: 604_800_000,
        holdoutMs: 604_800_000,
      },
      label: { column: 'returned', knownAt: null, maturityMs: 172_800_000 },
      assignment: { source: 'request' },
      training: {
        queue: 'compute',
        seed: 1,
        memoryMb: 4_096,
        trainer: { kind: 'logistic', hidden: [], embedding: 0, epochs: 20 },
      },
      approvals: { required: 1, withinMs: 604_800_000 },
      retention: { predictionsMs: 7_776_000_000 },
    });
    expect(spec.data.quarantineBudget).toBe(0.01);
    expect(spec.gates.map((gate) => gate.kind)).toEqual(['baseline', 'champion', 'compatible']);
    expect(spec.features[0]).toEqual({
      name: 'price',
      type: 'number',
      unit: 'EUR',
      range: [0, 100_000],
      values: null,
      nullable: false,
      parts: [],
      onInvalid: 'reject',
    });
    expect(spec.rollout.quality).toBeNull();
  });

  it('reads durations, percentages, sizes and dates in their human form', () => {
    const spec = parse(
      `${SMALL_SPEC}
clock: event
training: { memory: 512MB, timeout: 90s, trainer: { kind: mlp, hidden: [4] } }
rollout:
  steps: [{ weight: 2.5%, for: 36h }, { weight: 0.5, for: 1w }]
retention: { predictions: 1.5d }
`.replace('  id: order', '  id: order\n  from: 2024-02-29\n  last: 6w'),
    );
    expect(spec.training).toMatchObject({
      memoryMb: 512,
      timeoutMs: 90_000,
      trainer: { kind: 'mlp', hidden: [4], embedding: 8 },
    });
    expect(spec.rollout.steps).toEqual([
      { weight: 0.025, forMs: 129_600_000 },
      { weight: 0.5, forMs: 604_800_000 },
    ]);
    expect(spec.retention.predictionsMs).toBe(129_600_000);
    expect(spec.data).toMatchObject({ from: '2024-02-29T00:00:00.000Z', lastMs: 3_628_800_000 });
  });

  it('gives a command trainer the folder of the spec', () => {
    const spec = parse(`${SMALL_SPEC}training: { trainer: { kind: command, command: [python, train.py] } }\n`);
    expect(spec.training.trainer).toEqual({ kind: 'command', command: ['python', 'train.py'], folder: '/work/shop' });
  });

  it.each(['binary', 'regression'] as const)('accepts the template of a %s model as it is', (task) => {
    const spec = parse(templateSpec({ model: 'a/b', task, source: 'data/*.csv' }));
    expect(spec).toMatchObject({ model: 'a/b', task, data: { format: 'csv', source: '/work/shop/data/*.csv' } });
  });
});

it('a template holds any path', () => {
  for (const path of ['a b: #c.csv', "it's.csv", '[x].csv', 'ä"b.csv']) {
    expect(parse(templateSpec({ model: 'a/b', task: 'binary', source: path })).data.source).toBe(`/work/shop/${path}`);
  }
});

describe('parseSpec, refused', () => {
  it('names file, line, path, what was expected and what was found for a wrong type', () => {
    expect(refusal(SMALL_SPEC.replace('type: number', 'type: float'))).toBe(
      'model.yaml:9:11 features[0].type: expected one of number, integer, category, boolean, timestamp; found "float"',
    );
    expect(refusal(SMALL_SPEC.replace('maturity: 2d', 'maturity: 2'))).toBe(
      'model.yaml:19:13 label.maturity: expected a duration such as 30s, 15m, 6h or 14d; found 2',
    );
    expect(refusal(SMALL_SPEC.replace('[0, 100000]', '[0]'))).toBe(
      'model.yaml:11:12 features[0].range: expected two numbers, [smallest, largest]; found [0]',
    );
    expect(refusal(SMALL_SPEC.replace('shop/returns', 'Returns'))).toBe(
      'model.yaml:1:8 model: expected project/model, each of 1 to 48 characters a-z, 0-9 and -, starting with a letter; found "Returns"',
    );
  });

  it('names the nearest valid key for an unknown one, and the section that lacks the right one', () => {
    expect(refusal(SMALL_SPEC.replace('eventTime:', 'event_time:'))).toBe(
      '2 problems\n  model.yaml:3:1 data.eventTime: expected a name; found nothing\n  model.yaml:6:3 data.event_time: unknown key; did you mean eventTime?',
    );
    expect(refusal(`${SMALL_SPEC}rolout: {}\n`)).toBe('model.yaml:20:1 rolout: unknown key; did you mean rollout?');
    expect(refusal(`${SMALL_SPEC}retention: { xyz: 3 }\n`)).toBe(
      'model.yaml:20:14 retention.xyz: unknown key; valid here: predictions',
    );
  });

  it('finds the keys of the option that a kind chooses', () => {
    expect(refusal(`${SMALL_SPEC}gates:\n  - { kind: champion, metric: auc, margn: 1 }\n`)).toBe(
      'model.yaml:21:36 gates[0].margn: unknown key; did you mean margin?',
    );
    expect(refusal(`${SMALL_SPEC}assignment: { source: cookie }\n`)).toBe(
      'model.yaml:20:23 assignment.source: expected one of request, header, parameter, feature; found "cookie"',
    );
  });

  it('reports all problems at once, in the order of the file, whatever their kind', () => {
    const text = SMALL_SPEC.replace('task: binary', 'task: ranking')
      .replace('- name: country', '- name: price')
      .replace('maturity: 2d', 'maturity: soon');
    expect(refusal(text).split('\n')).toEqual([
      '3 problems',
      '  model.yaml:2:7 task: expected one of binary, regression; found "ranking"',
      '  model.yaml:12:11 features[1].name: expected a name of its own; "price" is features[0] already',
      '  model.yaml:19:13 label.maturity: expected a duration such as 30s, 15m, 6h or 14d; found "soon"',
    ]);
  });

  it.each([
    ['', 'found nothing'],
    ['- a', 'found something else'],
    ['a: [1', 'not valid YAML'],
    ['model: a/b\nmodel: c/d', 'Map keys must be unique'],
    ['a: &a [*a]', 'not valid YAML'],
    ['x: 1\n---\ny: 2', 'not valid YAML'],
    ['\u0000', 'model.yaml:1:'],
  ])('refuses %j with a place', (text, part) => {
    expect(refusal(text)).toContain(part);
    expect(refusal(text)).toContain('model.yaml:');
  });

  it('refuses a text that multiplies itself by aliases', () => {
    const bomb = Array.from(
      { length: 12 },
      (_, index) =>
        `a${index}: &a${index} [${
          index === 0
            ? '1'
            : Array(9)
                .fill(`*a${index - 1}`)
                .join(', ')
        }]`,
    ).join('\n');
    expect(refusal(bomb)).toContain('not valid YAML');
  });

  it('refuses a text larger than a spec can be', () => {
    expect(refusal('#'.repeat(300_000))).toBe('model.yaml is larger than 262144 bytes');
  });
});

describe('parseSpec, contradictions', () => {
  const contradictions: readonly [string, string, string][] = [
    [
      'type: category',
      'type: category\n    range: [0, 1]',
      'features[1].range: expected nothing here: range is for number and integer, and country is a category',
    ],
    ['[0, 100000]', '[5, 5]', 'features[0].range: expected the smaller number first; found [5, 5]'],
    [
      '    parts: [hour, dayOfWeek]\n',
      '',
      'features[2]: expected parts (such as [hour, dayOfWeek]): a model cannot use an instant as such',
    ],
    ['[hour, dayOfWeek]', '[hour, hour]', 'features[2].parts[1]: expected each value once; "hour" is there already'],
    [
      '- name: country',
      '- name: Returned',
      'features[1].name: expected a column other than the label; the model would see its answer',
    ],
    [
      '- name: country',
      '- name: ORDER',
      'features[1].name: expected a column other than data.id; an id says nothing about other rows',
    ],
    ['- name: country', '- name: score', 'features[1].name: expected another name; score is what the answer is called'],
    [
      '- name: country',
      '- name: placed',
      'features[1].type: expected timestamp, because this column is data.eventTime',
    ],
    ['- name: local', '- name: PLACED', 'features[2].name: expected the spelling of data.eventTime, "placed"'],
    [
      'source: rows.parquet',
      'source: rows',
      'data.source: expected a path ending in .parquet or .csv, or a format beside it',
    ],
    [
      '  id: order',
      '  id: order\n  last: 14d',
      'data.last: expected more than validation and holdout together (14d), or nothing is left to train on; found 14d',
    ],
    ['  id: order', '  id: placed', 'data.eventTime: expected another column; "placed" is data.id already'],
    [
      'maturity: 2d',
      'maturity: 8d',
      'label.maturity: expected less than data.holdout (7d), or the holdout has no labels; found 8d',
    ],
    [
      'type: category',
      'type: boolean\n    nullable: true',
      'features[1].nullable: expected false: a boolean tensor cannot hold a missing value; use a category',
    ],
  ];
  it.each(contradictions)('%j as %j', (from, to, message) => {
    expect(SMALL_SPEC).toContain(from);
    expect(refusal(SMALL_SPEC.replace(from, to))).toContain(message);
  });

  const appended: readonly [string, string][] = [
    [
      'gates: [{ kind: baseline, metric: rmse }]',
      'gates[0].metric: expected one of auc, logLoss, brier, calibrationError for a binary task; found "rmse"',
    ],
    ['gates: [{ kind: threshold, metric: auc }]', 'gates[0]: expected min or max; without one the gate says nothing'],
    ['gates: [{ kind: threshold, metric: auc, min: 2, max: 1 }]', 'gates[0].min: expected at most max (1); found 2'],
    [
      'rollout: { steps: [{ weight: 50%, for: 1h }, { weight: 10%, for: 1h }] }',
      'rollout.steps[1].weight: expected more than the step before (0.5); found 0.1',
    ],
    ['rollout: { steps: [{ weight: 0, for: 1h }] }', 'rollout.steps[0].weight: expected more than 0; found 0'],
    [
      'rollout: { steps: [{ weight: 0.1, for: 0s }] }',
      'rollout.steps[0].for: expected longer than 0; no data never means good',
    ],
    [
      'rollout: { disagreement: { max: 0.08, gross: 0.05 } }',
      'rollout.disagreement.gross: expected more than max (0.08); found 0.05',
    ],
    [
      'rollout: { disagreement: { max: 1 } }',
      'rollout.disagreement.max: expected less than 1, which no two probabilities differ by; found 1',
    ],
    [
      'rollout: { quality: { metric: squaredError } }',
      'rollout.quality.metric: expected logLoss or brier for a binary task; found "squaredError"',
    ],
    ['assignment: { source: feature, name: city }', 'assignment.name: expected a feature; found "city", which is none'],
    ['approvals: { required: -1 }', 'approvals.required: expected a whole number from 0 to 20; found -1'],
    ['monitor: { every: 0s }', 'monitor.every: expected longer than 0'],
  ];
  it.each(appended)('%s', (text, message) => {
    expect(refusal(`${SMALL_SPEC}${text}\n`)).toContain(message);
  });
});

describe('parseSpec, anything', () => {
  const accepted = (text: string): void => {
    try {
      expect(parse(text).schema).toBe('slipway/model/v1');
    } catch (error) {
      if (!(error instanceof SlipwayError)) throw error;
      expect(error.code).toBe('SPEC_INVALID');
      expect(error.message).toMatch(/^(\d+ problems\n {2})?model\.yaml:\d+:\d+ /);
    }
  };

  it('gives a spec or SPEC_INVALID with a place for any change of characters', () => {
    const text = templateSpec({ model: 'a/b', task: 'binary', source: 'x.csv' });
    const change = fc.tuple(
      fc.nat(text.length),
      fc.nat(30),
      fc.oneof(
        fc.string({ maxLength: 12 }),
        fc.constantFrom(':', '- ', '\n', '  ', '{', '*a', '&a ', '!!binary ', '? ', '<<: ', 'null', '1e999', '.nan'),
      ),
    );
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        accepted(changes.reduce((at, [from, length, by]) => at.slice(0, from) + by + at.slice(from + length), text));
      }),
      { numRuns: 600, seed: 7 },
    );
  });

  it('gives a spec or SPEC_INVALID with a place for any value in any section', () => {
    const base = JSON.parse(JSON.stringify({ ...baseDocument })) as Record<string, unknown>;
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.keys(base), 'training', 'gates', 'rollout', 'monitor', '__proto__'),
        fc.jsonValue({ maxDepth: 3 }),
        (key, value) => {
          accepted(JSON.stringify({ ...base, [key]: value }));
        },
      ),
      { numRuns: 600, seed: 7 },
    );
  });
});

const baseDocument = {
  model: 'a/b',
  task: 'binary',
  data: { source: 'x.csv', id: 'id', eventTime: 'at' },
  features: [{ name: 'x', type: 'number' }],
  label: { column: 'y', maturity: '1d' },
};
