import type { Task } from '../../workflows/domain/spec';
import type { GuessedColumns, GuessedFeature } from './guess-columns';

export interface TemplateOptions {
  /** project/model */
  readonly model: string;
  readonly task: Task;
  /** Path of the data, relative to the spec. */
  readonly source: string;
  /** What was found in the data; an example where nothing was. */
  readonly columns?: GuessedColumns;
}

/** A commented model.yaml to start from; `slipway init` writes it. It parses as it is. */
export function templateSpec(options: TemplateOptions): string {
  const metric = options.task === 'binary' ? 'logLoss' : 'rmse';
  const { id, eventTime, label } = options.columns ?? EXAMPLE;
  const quality = options.task === 'binary' ? 'logLoss' : 'squaredError';
  return `# yaml-language-server: $schema=./model.schema.json
# What you decide about one model. \`slipway spec check\` explains it; docs/spec.md lists every field and default.
model: ${options.model}
description: Say here what is predicted, and when.
owner: your-team
task: ${options.task} # binary (a probability) or regression (a value)

data:
  source: ${yamlText(options.source)} # file or glob, relative to this file
  id: ${yamlText(id)} # names a row; predictions and labels join by it
  eventTime: ${yamlText(eventTime)} # when the features were known, UTC
  # from: 2024-01-01 # first day to learn from
  # last: 90d # or: only the newest 90 days
  validation: 7d # newest time before the holdout; stops training
  holdout: 7d # newest time; the gates are measured on it
  quarantineBudget: 1% # more bad rows than this fail the run

features:
  # number, integer, category, boolean or timestamp
${options.columns ? foundFeatures(options.columns.features) : EXAMPLE_FEATURES}
label:
  column: ${yamlText(label)}
  # knownAt: label_time # column with the instant it became known; otherwise eventTime + maturity
  maturity: 1d # after this long a missing label counts as lost

training:
  trainer: { kind: logistic } # or { kind: mlp, hidden: [32, 16] }, or { kind: command, command: [python, train.py] }

gates:
  - { kind: baseline, metric: ${metric}, by: 0 } # better than a constant
  - { kind: champion, metric: ${metric}, margin: 0, confidence: 0.95 } # not worse than what serves
  - { kind: compatible } # callers need not change

approvals:
  required: 1 # distinct people; never the one who started the run
  within: 7d

rollout:
  steps:
    - { weight: 5%, for: 1h }
    - { weight: 50%, for: 1d }
  # quality: { metric: ${quality}, require: notWorse, margin: 1% } # paired, on labels

monitor:
  every: 1d
  window: 7d
  retrain: { enabled: false, cooldown: 7d }
`;
}

const EXAMPLE = { id: 'id', eventTime: 'event_time', label: 'label' };
const EXAMPLE_FEATURES = `  - name: amount
    type: number
    unit: EUR # compared literally between releases
    range: [0, 100000] # values outside are bad rows, and refused when serving
  - name: country
    type: category # values are learned; list them under \`values\` to close it
    nullable: true
  - name: local_time
    type: timestamp
    parts: [hour, dayOfWeek]
`;

function foundFeatures(features: readonly GuessedFeature[]): string {
  const lines = features.flatMap(({ name, type, nullable }) => [
    `  - name: ${yamlText(name)}`,
    `    type: ${type}`,
    ...(type === 'timestamp' ? ['    parts: [hour, dayOfWeek]'] : []),
    ...(nullable ? ['    nullable: true'] : []),
  ]);
  return [
    '  # As found in the data. Give numbers a unit and a range, and take out what is not known when you predict.',
    ...lines,
    '',
  ].join('\n');
}

/** As it is where YAML cannot mistake it, quoted otherwise. */
const yamlText = (text: string): string =>
  /^[A-Za-z_./][A-Za-z0-9_./*-]*$/.test(text) && !/^(true|false|null|yes|no|on|off|y|n|~|\.nan|\.inf)$/i.test(text)
    ? text
    : JSON.stringify(text);
