import { z } from 'zod';
import { DEFAULT_SERVING } from '../../workflows/domain/serving';
import { DATE_PARTS, METRICS } from '../../workflows/domain/spec';
import { DURATION_PATTERN, PERCENT_PATTERN, SIZE_PATTERN, parseDuration, parseFraction, parseSizeMb } from './units';

/** What a person should have written, in words; errors quote it. */
export const expectations = z.registry<{ expected: string }>();

const describe = <S extends z.ZodType>(schema: S, expected: string): S => {
  expectations.add(schema, { expected });
  return schema;
};

const name = describe(z.string().min(1).max(200), 'a name');
const text = describe(z.string().max(4_000), 'text');
const durationText = (expected: string): z.ZodType<number, string> =>
  describe(
    z
      .string()
      .regex(DURATION_PATTERN)
      .transform((value) => parseDuration(value)!),
    expected,
  );
const duration = durationText('a duration such as 30s, 15m, 6h or 14d');
const fraction = describe(
  z
    .union([z.number().min(0).max(1), z.string().regex(PERCENT_PATTERN)])
    .transform(parseFraction)
    .pipe(z.number().min(0).max(1)),
  'a fraction from 0 to 1, such as 0.1 or 10%',
);
const share = describe(fraction.pipe(z.number().gt(0)), 'a fraction above 0 and up to 1, such as 0.1 or 10%');
const alpha = describe(z.number().gt(0).max(0.5), 'an error rate above 0 and up to 0.5, such as 0.05');
const amount = describe(z.number().min(0), 'a number, 0 or more');
const positive = describe(z.number().gt(0), 'a number above 0');
const count = (min: number, max: number): z.ZodNumber =>
  describe(z.int().min(min).max(max), `a whole number from ${min} to ${max}`);
const flag = describe(z.boolean(), 'true or false');
const oneOf = <const T extends readonly [string, ...string[]]>(values: T) =>
  describe(z.enum(values), `one of ${values.join(', ')}`);

const data = z.strictObject({
  source: describe(z.string().min(1), 'a path or glob of Parquet or CSV files').describe(
    'Path or glob of Parquet or CSV files, relative to this file.',
  ),
  format: oneOf(['parquet', 'csv']).optional().describe('Taken from the ending of `source` where it has one.'),
  id: name.describe('Column that names a row; predictions and labels join by it.'),
  eventTime: name.describe('Column with the instant (UTC) at which the features were known.'),
  from: describe(
    z.union([z.iso.date(), z.iso.datetime({ offset: true })]),
    'a date such as 2001-01-31, or an instant in RFC 3339',
  )
    .optional()
    .describe('First instant of the window; without it, everything before the as-of.'),
  last: duration.optional().describe('Length of the window before the as-of.'),
  validation: duration.prefault('7d').describe('The newest time before the holdout, for early stopping.'),
  holdout: duration.prefault('7d').describe('The newest time before the as-of, for the gates.'),
  quarantineBudget: fraction.prefault(0.01).describe('Largest share of bad rows before a run fails.'),
});

const range = describe(z.tuple([z.number(), z.number()]), 'two numbers, [smallest, largest]');

export const feature = z.strictObject({
  name,
  type: oneOf(['number', 'integer', 'category', 'boolean', 'timestamp']),
  unit: text.prefault('').describe('Such as mi, km, h, 1; compared literally between releases.'),
  range: range.optional().describe('Smallest and largest allowed value.'),
  values: z
    .array(describe(z.string().min(1), 'a category as text'))
    .min(1)
    .optional()
    .describe('Allowed categories; without it they are learned.'),
  nullable: flag.prefault(false),
  parts: z.array(oneOf(DATE_PARTS)).min(1).optional().describe('Which parts of a timestamp the model sees.'),
  onInvalid: oneOf(['reject', 'impute', 'flag'])
    .prefault('reject')
    .describe('What the gateway does with a value outside the declaration.'),
});

const label = z.strictObject({
  column: name,
  knownAt: name
    .optional()
    .describe('Column with the instant at which the label became known; without it, eventTime + maturity.'),
  maturity: duration.describe('After this long a missing label counts as lost, not late.'),
});

const assignment = z.discriminatedUnion('source', [
  z.strictObject({ source: z.literal('request') }),
  z.strictObject({ source: z.literal('header'), name }),
  z.strictObject({ source: z.literal('parameter'), name }),
  z.strictObject({ source: z.literal('feature'), name }),
]);

const fitting = {
  epochs: count(1, 10_000).prefault(20),
  batchSize: count(1, 65_536).prefault(512),
  learningRate: describe(z.number().gt(0).max(10), 'a learning rate above 0, such as 0.01').prefault(0.01),
  l2: amount.prefault(0.0001),
  checkpointEvery: count(1, 10_000).prefault(1).describe('Epochs between checkpoints.'),
  patience: count(0, 10_000)
    .prefault(3)
    .describe('Epochs without a better validation loss before training stops; 0 never.'),
};

const trainer = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('logistic'), ...fitting }),
  z.strictObject({
    kind: z.literal('mlp'),
    hidden: z.array(count(1, 4_096)).min(1).max(8).prefault([32, 16]).describe('Units of each hidden layer.'),
    embedding: count(1, 256).prefault(8).describe("Length of a category's embedding."),
    ...fitting,
  }),
  z.strictObject({
    kind: z.literal('command'),
    command: z
      .array(describe(z.string().min(1), 'a word of the command'))
      .min(1)
      .describe('argv, run in the folder of this file.'),
  }),
]);

const training = z.strictObject({
  queue: oneOf(['compute', 'gpu']).prefault('compute'),
  seed: count(0, 2_147_483_647).prefault(1),
  timeout: duration.prefault('1h'),
  memory: describe(z.string().regex(SIZE_PATTERN).transform(parseSizeMb), 'a size such as 512MB or 4GB').prefault(
    '4GB',
  ),
  trainer: trainer.prefault({ kind: 'logistic' }),
});

const metric = oneOf(METRICS);
const gate = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('threshold'),
    metric,
    min: describe(z.number(), 'a number').optional(),
    max: describe(z.number(), 'a number').optional(),
  }),
  z.strictObject({ kind: z.literal('baseline'), metric, by: amount.prefault(0) }),
  z.strictObject({
    kind: z.literal('champion'),
    metric,
    margin: amount.prefault(0),
    confidence: describe(z.number().min(0.5).lt(1), 'a confidence from 0.5 and below 1, such as 0.95').prefault(0.95),
  }),
  z.strictObject({ kind: z.literal('compatible') }),
]);

const approvals = z.strictObject({
  required: count(0, 20).prefault(1).describe('Distinct people needed; 0 only where the workspace allows it.'),
  within: duration.prefault('7d'),
});

const step = z.strictObject({
  weight: fraction.describe("Challenger's share of assignment keys."),
  for: duration,
});

const rollout = z.strictObject({
  bootstrap: oneOf(['direct', 'shadow']).prefault('direct').describe('How the first release of the model begins.'),
  steps: z
    .array(step)
    .min(1)
    .max(20)
    .prefault([
      { weight: 0.05, for: '1h' },
      { weight: 0.25, for: '6h' },
      { weight: 0.5, for: '1d' },
    ]),
  bake: duration.prefault('1h').describe('How long the challenger serves everything before the rollout ends.'),
  extensions: count(0, 20)
    .prefault(1)
    .describe('How often each step that is still inconclusive may go on for as long again.'),
  errors: z
    .strictObject({
      margin: fraction.prefault(0.01),
      alpha: alpha.prefault(0.05),
      minKeys: count(1, 100_000_000).prefault(100),
    })
    .prefault({}),
  disagreement: z
    .strictObject({
      max: positive.describe('Mean difference of scores on whole days.'),
      gross: positive.optional().describe('Mean difference of the hours seen that is far beyond; default: twice max.'),
      alpha: alpha.prefault(0.05),
      minKeys: count(1, 100_000_000).prefault(200),
    })
    .optional(),
  quality: z
    .strictObject({
      metric: oneOf(['logLoss', 'brier', 'squaredError']),
      require: oneOf(['better', 'notWorse']).prefault('notWorse'),
      margin: fraction.prefault(0),
      alpha: alpha.prefault(0.05),
      minDays: count(2, 365).prefault(5),
    })
    .optional(),
});

const serving = z.strictObject({
  batch: z
    .strictObject({
      maxRows: count(1, 4_096).prefault(DEFAULT_SERVING.batch.maxRows).describe('Rows in one inference at most.'),
      window: duration.prefault('0s').describe('How long a request may wait for company.'),
    })
    .prefault({}),
  cache: z
    .strictObject({ ttl: duration, entries: count(1, 10_000_000).prefault(10_000) })
    .optional()
    .describe('Keeps answers by release and inputs; without it every request is inferred.'),
  explain: z
    .strictObject({
      when: oneOf(['never', 'request', 'always'])
        .prefault('request')
        .describe('`always` explains every answer, for regulated decisions.'),
      evaluations: count(16, 100_000).prefault(256).describe('Inferences that one sampled explanation may cost.'),
      reasons: count(0, 100).prefault(3).describe('Features named as reasons, the strongest first.'),
    })
    .prefault({}),
  calibration: oneOf(['never', 'request', 'always'])
    .prefault('request')
    .describe('Calibrated probabilities beside the scores of a binary task.'),
  log: z
    .strictObject({
      sample: share.prefault(1).describe('Share of requests that go to the prediction log.'),
      redact: z.array(name).max(1_000).prefault([]).describe('Features whose values are left out of the log.'),
    })
    .prefault({}),
});

const monitor = z.strictObject({
  every: duration.prefault('1d'),
  window: duration.prefault('7d'),
  drift: z
    .strictObject({
      alpha: alpha.prefault(0.01),
      minEffect: amount.prefault(0.05),
      consecutive: count(1, 100).prefault(2),
    })
    .prefault({}),
  calibration: z
    .strictObject({
      alpha: alpha.prefault(0.05),
      maxGap: amount.prefault(0.05),
      consecutive: count(1, 100).prefault(2),
    })
    .prefault({}),
  retrain: z.strictObject({ enabled: flag.prefault(false), cooldown: duration.prefault('7d') }).prefault({}),
});

/** The sections of a model.yaml. Input is what a person writes, output has milliseconds, fractions and defaults. */
export const humanSpec = z.strictObject({
  model: describe(
    z.string().regex(/^[a-z][a-z0-9-]{0,47}\/[a-z][a-z0-9-]{0,47}$/),
    'project/model, each of 1 to 48 characters a-z, 0-9 and -, starting with a letter',
  ),
  description: text.prefault(''),
  owner: text.prefault(''),
  task: oneOf(['binary', 'regression']),
  clock: oneOf(['wall', 'event'])
    .prefault('wall')
    .describe("`event`: rollout and monitor count in the requests' own time."),
  data,
  features: z.array(feature).min(1).max(1_000),
  label,
  assignment: assignment.prefault({ source: 'request' }).describe('What keeps a caller on one arm.'),
  training: training.prefault({}),
  gates: z.array(gate).min(1).max(50).optional(),
  approvals: approvals.prefault({}),
  rollout: rollout.prefault({}),
  serving: serving.prefault({}).describe('How gateways serve it; signed and approved with the release.'),
  monitor: monitor.prefault({}),
  retention: z.strictObject({ predictions: duration.prefault('90d') }).prefault({}),
});

export type HumanSpec = z.output<typeof humanSpec>;

/** JSON Schema (draft 2020-12) of what a person writes, for editors; docs/model.schema.json holds it. */
export function specSchemaJson(): string {
  const schema = z.toJSONSchema(humanSpec, { io: 'input', unrepresentable: 'any' });
  return `${JSON.stringify({ title: 'Slipway model spec', ...schema }, null, 2)}\n`;
}
