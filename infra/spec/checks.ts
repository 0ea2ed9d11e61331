import { OUTPUT_NAME } from '../../workflows/domain/signature';
import type { MetricName, Task } from '../../workflows/domain/spec';
import { problem, type Problem, type SpecPath } from './problems';
import { formatOf } from './resolve';
import type { HumanSpec } from './schema';
import { formatDuration } from './units';

/** The sections that are well-formed; a check that needs another one says nothing. */
export type Sections = { readonly [K in keyof HumanSpec]?: HumanSpec[K] | undefined };

type Feature = HumanSpec['features'][number];

/** What a schema cannot say: sections and fields that contradict each other. */
export function checkSpec(sections: Sections): Problem[] {
  return [
    checkData,
    checkColumns,
    checkFeatures,
    checkLabel,
    checkAssignment,
    checkGates,
    checkRollout,
    checkServing,
    checkMonitor,
  ].flatMap((check) => check(sections));
}

function checkData({ data }: Sections): Problem[] {
  if (!data) return [];
  const problems: Problem[] = [];
  if (data.format === undefined && formatOf(data.source) === undefined) {
    problems.push(problem(['data', 'source'], 'expected a path ending in .parquet or .csv, or a format beside it'));
  }
  if (data.holdout === 0)
    problems.push(problem(['data', 'holdout'], 'expected a holdout longer than 0; gates are measured on it'));
  if (data.validation === 0)
    problems.push(problem(['data', 'validation'], 'expected a validation longer than 0; training stops by it'));
  const held = data.validation + data.holdout;
  if (data.last !== undefined && held >= data.last) {
    problems.push(
      problem(
        ['data', 'last'],
        `expected more than validation and holdout together (${formatDuration(held)}), or nothing is left to train on; found ${formatDuration(data.last)}`,
      ),
    );
  }
  return problems;
}

/** DuckDB compares column names without case, so names that differ in case only are the same column. */
function checkColumns({ features, label, data }: Sections): Problem[] {
  const problems: Problem[] = [];
  const seen = new Map<string, string>();
  features?.forEach((feature, index) => {
    const key = feature.name.toLowerCase();
    const before = seen.get(key);
    if (before !== undefined)
      problems.push(
        problem(
          ['features', index, 'name'],
          `expected a name of its own; ${JSON.stringify(feature.name)} is ${before} already`,
        ),
      );
    else seen.set(key, `features[${index}]`);
    if (feature.name === OUTPUT_NAME)
      problems.push(
        problem(['features', index, 'name'], `expected another name; ${OUTPUT_NAME} is what the answer is called`),
      );
    if (key === label?.column.toLowerCase())
      problems.push(
        problem(['features', index, 'name'], 'expected a column other than the label; the model would see its answer'),
      );
    if (key === label?.knownAt?.toLowerCase())
      problems.push(
        problem(
          ['features', index, 'name'],
          'expected a column other than label.knownAt; it is only known with the answer',
        ),
      );
    if (key === data?.id.toLowerCase())
      problems.push(
        problem(
          ['features', index, 'name'],
          'expected a column other than data.id; an id says nothing about other rows',
        ),
      );
    if (key === data?.eventTime.toLowerCase() && feature.type !== 'timestamp') {
      problems.push(problem(['features', index, 'type'], 'expected timestamp, because this column is data.eventTime'));
    }
    if (data && key === data.eventTime.toLowerCase() && feature.name !== data.eventTime) {
      problems.push(
        problem(
          ['features', index, 'name'],
          `expected the spelling of data.eventTime, ${JSON.stringify(data.eventTime)}`,
        ),
      );
    }
  });
  return problems;
}

function checkFeatures({ features }: Sections): Problem[] {
  return (features ?? []).flatMap((feature, index) => checkFeature(feature, ['features', index]));
}

function checkFeature(feature: Feature, path: SpecPath): Problem[] {
  const problems: Problem[] = [];
  const only = (key: keyof Feature, types: readonly Feature['type'][]): void => {
    if (feature[key] !== undefined && feature[key] !== '' && !types.includes(feature.type)) {
      problems.push(
        problem(
          [...path, key],
          `expected nothing here: ${key} is for ${types.join(' and ')}, and ${feature.name} is a ${feature.type}`,
        ),
      );
    }
  };
  only('range', ['number', 'integer']);
  only('unit', ['number', 'integer']);
  only('values', ['category']);
  only('parts', ['timestamp']);
  if (feature.type === 'timestamp' && feature.parts === undefined) {
    problems.push(problem(path, 'expected parts (such as [hour, dayOfWeek]): a model cannot use an instant as such'));
  }
  if (feature.type === 'boolean' && feature.nullable) {
    problems.push(
      problem([...path, 'nullable'], 'expected false: a boolean tensor cannot hold a missing value; use a category'),
    );
  }
  if (feature.range && feature.range[0] >= feature.range[1]) {
    problems.push(
      problem([...path, 'range'], `expected the smaller number first; found [${feature.range.join(', ')}]`),
    );
  }
  problems.push(
    ...repeated(feature.values ?? [], [...path, 'values']),
    ...repeated(feature.parts ?? [], [...path, 'parts']),
  );
  return problems;
}

function repeated(values: readonly string[], path: SpecPath): Problem[] {
  return values.flatMap((value, index) =>
    values.indexOf(value) < index
      ? [problem([...path, index], `expected each value once; ${JSON.stringify(value)} is there already`)]
      : [],
  );
}

function checkLabel({ data, label }: Sections): Problem[] {
  if (!data || !label) return [];
  const problems: Problem[] = [];
  const named: readonly [string, SpecPath][] = [
    [data.id, ['data', 'id']],
    [data.eventTime, ['data', 'eventTime']],
    [label.column, ['label', 'column']],
    ...(label.knownAt === undefined ? [] : [[label.knownAt, ['label', 'knownAt']] as [string, SpecPath]]),
  ];
  named.forEach(([column, path], index) => {
    const before = named.slice(0, index).find(([other]) => other.toLowerCase() === column.toLowerCase());
    if (before)
      problems.push(
        problem(path, `expected another column; ${JSON.stringify(column)} is ${before[1].join('.')} already`),
      );
  });
  const held = data.holdout;
  if (label.knownAt === undefined && label.maturity >= held) {
    problems.push(
      problem(
        ['label', 'maturity'],
        `expected less than data.holdout (${formatDuration(held)}), or the holdout has no labels; found ${formatDuration(label.maturity)}`,
      ),
    );
  }
  return problems;
}

function checkAssignment({ assignment, features }: Sections): Problem[] {
  if (!features || !assignment || assignment.source !== 'feature') return [];
  const known = features.some((feature) => feature.name === assignment.name);
  return known
    ? []
    : [problem(['assignment', 'name'], `expected a feature; found ${JSON.stringify(assignment.name)}, which is none`)];
}

const METRICS_OF: Readonly<Record<Task, readonly MetricName[]>> = {
  binary: ['auc', 'logLoss', 'brier', 'calibrationError'],
  regression: ['rmse', 'mae', 'r2'],
};

function checkGates({ task, gates }: Sections): Problem[] {
  return (gates ?? []).flatMap((gate, index) => {
    const path = ['gates', index] as const;
    if (gate.kind === 'compatible') return [];
    const problems: Problem[] = [];
    if (task && !METRICS_OF[task].includes(gate.metric)) {
      problems.push(
        problem(
          [...path, 'metric'],
          `expected one of ${METRICS_OF[task].join(', ')} for a ${task} task; found ${JSON.stringify(gate.metric)}`,
        ),
      );
    }
    if (gate.kind === 'threshold' && gate.min === undefined && gate.max === undefined)
      problems.push(problem(path, 'expected min or max; without one the gate says nothing'));
    if (gate.kind === 'threshold' && gate.min !== undefined && gate.max !== undefined && gate.min > gate.max) {
      problems.push(problem([...path, 'min'], `expected at most max (${gate.max}); found ${gate.min}`));
    }
    return problems;
  });
}

function checkRollout({ task, rollout }: Sections): Problem[] {
  if (!rollout) return [];
  const problems: Problem[] = [];
  rollout.steps.forEach((step, index) => {
    const before = rollout.steps[index - 1]?.weight ?? 0;
    if (step.weight <= before) {
      problems.push(
        problem(
          ['rollout', 'steps', index, 'weight'],
          `expected more than ${index === 0 ? '0' : `the step before (${before})`}; found ${step.weight}`,
        ),
      );
    }
    if (step.for === 0)
      problems.push(problem(['rollout', 'steps', index, 'for'], 'expected longer than 0; no data never means good'));
  });
  problems.push(...checkDisagreement({ task, rollout }));
  const metric = rollout.quality?.metric;
  if (task && metric !== undefined && (metric === 'squaredError') !== (task === 'regression')) {
    problems.push(
      problem(
        ['rollout', 'quality', 'metric'],
        `expected ${task === 'binary' ? 'logLoss or brier' : 'squaredError'} for a ${task} task; found ${JSON.stringify(metric)}`,
      ),
    );
  }
  return problems;
}

function checkDisagreement({ task, rollout }: Sections): Problem[] {
  const { max, gross } = rollout?.disagreement ?? {};
  const path = ['rollout', 'disagreement'];
  if (max === undefined) return [];
  if (task === 'binary' && max >= 1)
    return [problem([...path, 'max'], `expected less than 1, which no two probabilities differ by; found ${max}`)];
  if (gross !== undefined && gross <= max)
    return [problem([...path, 'gross'], `expected more than max (${max}); found ${gross}`)];
  return [];
}

function checkServing({ task, serving, features }: Sections): Problem[] {
  if (!serving) return [];
  const problems: Problem[] = [];
  if (serving.batch.window > 1_000)
    problems.push(problem(['serving', 'batch', 'window'], 'expected at most 1s; every caller may have to wait for it'));
  if (serving.cache?.ttl === 0) problems.push(problem(['serving', 'cache', 'ttl'], 'expected longer than 0'));
  if (task === 'regression' && serving.calibration === 'always')
    problems.push(
      problem(['serving', 'calibration'], 'expected nothing here: calibrated probabilities are of a binary task'),
    );
  serving.log.redact.forEach((name, index) => {
    if (features && !features.some((feature) => feature.name === name))
      problems.push(
        problem(
          ['serving', 'log', 'redact', index],
          `expected a feature; found ${JSON.stringify(name)}, which is none`,
        ),
      );
  });
  return problems;
}

function checkMonitor({ monitor }: Sections): Problem[] {
  if (!monitor) return [];
  const problems: Problem[] = [];
  if (monitor.every === 0) problems.push(problem(['monitor', 'every'], 'expected longer than 0'));
  if (monitor.window === 0) problems.push(problem(['monitor', 'window'], 'expected longer than 0'));
  return problems;
}
