import type {
  AssignmentSpec,
  DataSpec,
  DisagreementCheckSpec,
  FeatureSpec,
  GateSpec,
  LabelSpec,
  ModelSpec,
  MonitorSpec,
  RolloutSpec,
  TrainingSpec,
} from '../../workflows/domain/spec';
import { claimOf, type DisagreementClaim } from '../../workflows/domain/disagreement-claim';
import { MIN_WHOLE_DAYS } from '../../workflows/domain/statistics/day-means';
import type { CalibrationServing } from '../../workflows/domain/serving';
import { formatDuration, formatPercent } from './units';

/**
 * What will happen with this spec, in sentences, one paragraph for each stage. `asOf` is the instant a run would be started for; the
 * splits are shown for it.
 */
export function explainSpec(spec: ModelSpec, asOf: Date): string {
  const paragraphs: readonly [string, readonly string[]][] = [
    [
      'Model',
      [
        `${spec.model} (${spec.task})${spec.owner === '' ? '' : `, owned by ${spec.owner}`}. ${spec.description}`.trim(),
      ],
    ],
    ['Data', explainData(spec.data, spec.label, asOf)],
    ['Features', spec.features.map(explainFeature)],
    ['Training', explainTraining(spec.training)],
    ['Gates', spec.gates.map(explainGate)],
    ['Approval', [explainApproval(spec)]],
    ['Rollout', explainRollout(spec.rollout, spec.assignment, spec.clock)],
    ['Serving', explainServing(spec)],
    ['Monitor', explainMonitor(spec.monitor)],
    ['Retention', [`Predictions are kept for ${formatDuration(spec.retention.predictionsMs)}.`]],
  ];
  return `${paragraphs.map(([title, lines]) => [title, ...lines.map((line) => `  ${line}`)].join('\n')).join('\n\n')}\n`;
}

function explainData(data: DataSpec, label: LabelSpec, asOf: Date): string[] {
  const holdoutFrom = asOf.getTime() - data.holdoutMs;
  const validationFrom = holdoutFrom - data.validationMs;
  const bounds = [
    data.from === null ? Number.NEGATIVE_INFINITY : Date.parse(data.from),
    data.lastMs === null ? Number.NEGATIVE_INFINITY : asOf.getTime() - data.lastMs,
  ];
  const from = Math.max(...bounds);
  const known =
    label.knownAt === null
      ? `${formatDuration(label.maturityMs)} after ${data.eventTime}`
      : `at the instant in column ${label.knownAt}`;
  return [
    `Rows come from ${data.source} (${data.format}); ${data.id} names a row, ${data.eventTime} says when it happened (UTC).`,
    `As of ${instant(asOf.getTime())}:`,
    `  train      ${Number.isFinite(from) ? instant(from) : 'from the first row'} to ${instant(validationFrom)}`,
    `  validation ${instant(validationFrom)} to ${instant(holdoutFrom)} (stops training)`,
    `  holdout    ${instant(holdoutFrom)} to ${instant(asOf.getTime())} (gates only)`,
    `The label is ${label.column}. It is known ${known}; after ${formatDuration(label.maturityMs)} a missing one counts as lost.`,
    'A row is used only if its label was known when the next split began; others are left out and counted.',
    `Bad rows go to a quarantine file with a reason each; above ${formatPercent(data.quarantineBudget)} of rows the run fails.`,
  ];
}

const instant = (epochMs: number): string => new Date(epochMs).toISOString().replace('T', ' ').replace(':00.000Z', 'Z');

function explainFeature(feature: FeatureSpec): string {
  const unit = feature.unit === '' ? '' : ` in ${feature.unit}`;
  const details = [
    ...(feature.range ? [`from ${feature.range[0]} to ${feature.range[1]}`] : []),
    ...(feature.values ? [`one of ${feature.values.join(', ')}`] : []),
    ...(feature.type === 'category' && !feature.values ? ['values learned from the training rows'] : []),
    ...(feature.parts.length > 0 ? [`as ${feature.parts.join(', ')}`] : []),
    feature.nullable ? 'may be missing' : 'must be there',
  ];
  const invalid = { reject: 'refused', impute: 'treated as missing', flag: 'scored and flagged' }[feature.onInvalid];
  return `${feature.name}: ${feature.type}${unit}, ${details.join(', ')}. An invalid value is ${invalid}.`;
}

function explainTraining(training: TrainingSpec): string[] {
  const { trainer } = training;
  const limits = `Limits: ${formatDuration(training.timeoutMs)}, ${training.memoryMb} MB. Seed ${training.seed}, on the ${training.queue} queue.`;
  if (trainer.kind === 'command') return [`Runs \`${trainer.command.join(' ')}\` in ${trainer.folder}.`, limits];
  const shape =
    trainer.kind === 'mlp'
      ? `multilayer perceptron (${trainer.hidden.join(', ')}; category embeddings of ${trainer.embedding})`
      : 'logistic regression';
  const stop = trainer.patience > 0 ? `, stopping after ${trainer.patience} without a better validation loss` : '';
  return [
    `Built-in ${shape}, up to ${trainer.epochs} epochs of batches of ${trainer.batchSize}${stop}.`,
    `Learning rate ${trainer.learningRate}, L2 ${trainer.l2}; a checkpoint every ${trainer.checkpointEvery} ${trainer.checkpointEvery === 1 ? 'epoch' : 'epochs'}.`,
    limits,
  ];
}

function explainGate(gate: GateSpec): string {
  switch (gate.kind) {
    case 'threshold': {
      const bounds = [
        ...(gate.min === null ? [] : [`at least ${gate.min}`]),
        ...(gate.max === null ? [] : [`at most ${gate.max}`]),
      ];
      return `${gate.metric} on the holdout must be ${bounds.join(' and ')}.`;
    }
    case 'baseline':
      return `${gate.metric} must be better than that of a constant prediction${gate.by > 0 ? ` by at least ${gate.by}` : ''}.`;
    case 'champion':
      return `${gate.metric} must not be worse than the champion's by more than ${gate.margin}, at ${formatPercent(gate.confidence)} confidence over days.`;
    case 'compatible':
      return 'Callers must be able to keep sending what they send: no new required input, no changed unit, no narrowed range.';
  }
}

function explainApproval({ approvals }: ModelSpec): string {
  const { required, withinMs } = approvals;
  if (required === 0)
    return 'No approval is asked for; only a workspace whose policy allows that honours it, and the release is marked as not for production.';
  return `Waits up to ${formatDuration(withinMs)} for ${required} ${required === 1 ? 'person' : 'different people'} to approve; whoever started or trained the run does not count.`;
}

function explainRollout(rollout: RolloutSpec, assignment: AssignmentSpec, clock: ModelSpec['clock']): string[] {
  const { errors, disagreement, quality } = rollout;
  const key =
    assignment.source === 'request'
      ? 'each request is a caller of its own'
      : `callers are told apart by the ${assignment.source} ${assignment.name}, and each gateway is judged by those that it met`;
  const first =
    rollout.bootstrap === 'direct' ? 'serves at once' : 'is registered and gets no requests until `promote-now`';
  return [
    `The first release ${first}. A later one is the challenger of ${rollout.steps.map((step) => `${formatPercent(step.weight)} for ${formatDuration(step.forMs)}`).join(', then ')}, and bakes ${formatDuration(rollout.bakeMs)} at 100 %.`,
    `Time is ${clock === 'event' ? "the requests' own (event time)" : 'wall time'}; ${key}.`,
    `Taken back when its errors are more than ${formatPercent(errors.margin)} above the champion's (alpha ${errors.alpha}, from ${errors.minKeys} callers).`,
    ...(disagreement
      ? explainDisagreement(disagreement, rollout)
      : ["Its scores are not held against the champion's."]),
    quality
      ? `Promoted only if its ${quality.metric} on the same labelled requests is ${quality.require === 'better' ? 'better' : `not worse than the champion's by more than ${formatPercent(quality.margin)}`} (alpha ${quality.alpha}, from ${quality.minDays} days).`
      : 'Labels play no part in its promotion.',
    explainExtensions(rollout.extensions),
  ];
}

/** Of every step, the bake among them: each has as many. */
function explainExtensions(extensions: number): string {
  if (extensions === 0) return 'A step that is inconclusive when it is over ends the rollout; the champion stays.';
  const often = extensions === 1 ? 'once' : `up to ${extensions} times`;
  return `A step that is inconclusive when it is over goes on for as long again, ${often}; then the champion stays.`;
}

function explainDisagreement({ max, gross, alpha, minKeys }: DisagreementCheckSpec, { steps }: RolloutSpec): string[] {
  const shows: Record<DisagreementClaim, string> = {
    'mean-day': `that such days differ by less than ${max} on average`,
    'days-seen': `less than ${max} over the whole days seen`,
    'hours-seen': `less than ${max} over the hours seen: it is too short for a whole day, so nothing is said of other hours`,
    'not-gross': `less than ${gross} over the hours seen: it is too short for a whole day`,
  };
  return [
    `Taken back when its scores differ by more than ${max} on the mean whole day (from ${MIN_WHOLE_DAYS} days on), or by more than ${gross} over the hours seen (alpha ${alpha}, from ${minKeys} callers).`,
    ...steps.map((_, step) => `  step ${step + 1} has to show ${shows[claimOf(steps, step)]}`),
  ];
}

const CALIBRATED: Readonly<Record<CalibrationServing, string>> = {
  never: 'No answer has calibrated probabilities.',
  request: 'Calibrated probabilities are given where the request asks for them and the release has a map.',
  always: 'Every answer has calibrated probabilities; a model without a map does not pass.',
};

function explainServing({ serving, task }: Pick<ModelSpec, 'serving' | 'task'>): string[] {
  const { batch, cache, explain, log } = serving;
  const company =
    batch.windowMs === 0
      ? 'a request waits for no company'
      : `waits up to ${formatDuration(batch.windowMs)} for company`;
  const explained = {
    never: 'No answer is explained.',
    request: 'An answer is explained where the request asks for it',
    always: 'Every answer is explained',
  }[explain.when];
  return [
    `Up to ${batch.maxRows} rows go into one inference; ${company}.`,
    cache
      ? `Up to ${cache.entries} answers are kept for ${formatDuration(cache.ttlMs)}, by release and inputs.`
      : 'Every request is inferred; no answer is kept.',
    explain.when === 'never'
      ? explained
      : `${explained}, by at most ${explain.evaluations} inferences, with ${explain.reasons} reasons.`,
    ...(task === 'binary' ? [CALIBRATED[serving.calibration ?? 'request']] : []),
    `${formatPercent(log.sample)} of requests go to the prediction log${log.redact.length > 0 ? `, without the values of ${log.redact.join(', ')}` : ''}.`,
  ];
}

function explainMonitor(monitor: MonitorSpec): string[] {
  const { drift, calibration, retrain } = monitor;
  return [
    `Looks every ${formatDuration(monitor.everyMs)} at the last ${formatDuration(monitor.windowMs)}.`,
    `Drift: a feature's PSI above ${drift.minEffect} and significant at ${drift.alpha}, ${looks(drift.consecutive)}.`,
    `Decay: mean score and mean label more than ${calibration.maxGap} apart at ${calibration.alpha}, ${looks(calibration.consecutive)}.`,
    retrain.enabled
      ? `Then a retrain starts, at most one every ${formatDuration(retrain.cooldownMs)}.`
      : 'It reports and starts no retrain.',
  ];
}

const looks = (consecutive: number): string => (consecutive === 1 ? 'in one look' : `in ${consecutive} looks in a row`);
