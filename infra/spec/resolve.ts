import { resolve } from 'node:path';
import type {
  BuiltinTrainer,
  CommandTrainer,
  FeatureSpec,
  GateSpec,
  ModelSpec,
  RolloutSpec,
  Task,
} from '../../workflows/domain/spec';
import type { ServingSpec } from '../../workflows/domain/serving';
import type { HumanSpec } from './schema';

type Human<K extends keyof HumanSpec> = NonNullable<HumanSpec[K]>;

/** Fills in what a well-formed spec leaves to us, and gives durations and paths their absolute form. */
export function resolveSpec(human: HumanSpec, folder: string): ModelSpec {
  const { data, label, training, approvals, monitor } = human;
  return {
    schema: 'slipway/model/v1',
    model: human.model,
    description: human.description,
    owner: human.owner,
    task: human.task,
    clock: human.clock,
    data: {
      source: resolve(folder, data.source),
      format: data.format ?? formatOf(data.source) ?? 'parquet',
      id: data.id,
      eventTime: data.eventTime,
      from: data.from === undefined ? null : new Date(data.from).toISOString(),
      lastMs: data.last ?? null,
      validationMs: data.validation,
      holdoutMs: data.holdout,
      quarantineBudget: data.quarantineBudget,
    },
    features: human.features.map(resolveFeature),
    label: { column: label.column, knownAt: label.knownAt ?? null, maturityMs: label.maturity },
    assignment: human.assignment,
    training: {
      queue: training.queue,
      seed: training.seed,
      timeoutMs: training.timeout,
      memoryMb: training.memory,
      trainer: resolveTrainer(training.trainer, folder),
    },
    gates: human.gates?.map(resolveGate) ?? defaultGates(human.task),
    approvals: { required: approvals.required, withinMs: approvals.within },
    rollout: resolveRollout(human.rollout, human.task),
    serving: resolveServing(human.serving),
    monitor: {
      everyMs: monitor.every,
      windowMs: monitor.window,
      drift: monitor.drift,
      calibration: monitor.calibration,
      retrain: { enabled: monitor.retrain.enabled, cooldownMs: monitor.retrain.cooldown },
    },
    retention: { predictionsMs: human.retention.predictions },
  };
}

function resolveServing({ batch, cache, explain, calibration, log }: Human<'serving'>): ServingSpec {
  return {
    batch: { maxRows: batch.maxRows, windowMs: batch.window },
    cache: cache ? { ttlMs: cache.ttl, entries: cache.entries } : null,
    explain,
    // Left out where nobody chose it: a new setting is no new decision.
    ...(calibration === 'request' ? {} : { calibration }),
    log,
  };
}

/** By the ending of a path or glob; undefined where that does not say. */
export function formatOf(source: string): 'parquet' | 'csv' | undefined {
  const ending = /\.(parquet|csv)$/i.exec(source)?.[1]?.toLowerCase();
  return ending === 'parquet' || ending === 'csv' ? ending : undefined;
}

function resolveFeature(feature: Human<'features'>[number]): FeatureSpec {
  return {
    name: feature.name,
    type: feature.type,
    unit: feature.unit,
    range: feature.range ?? null,
    values: feature.values ?? null,
    nullable: feature.nullable,
    parts: feature.parts ?? [],
    onInvalid: feature.onInvalid,
  };
}

function resolveTrainer(trainer: Human<'training'>['trainer'], folder: string): BuiltinTrainer | CommandTrainer {
  if (trainer.kind === 'command') return { kind: 'command', command: trainer.command, folder };
  if (trainer.kind === 'mlp') return trainer;
  return { ...trainer, hidden: [], embedding: 0 };
}

function resolveGate(gate: Human<'gates'>[number]): GateSpec {
  if (gate.kind !== 'threshold') return gate;
  return { kind: gate.kind, metric: gate.metric, min: gate.min ?? null, max: gate.max ?? null };
}

/** What a model must show where its spec names no gates: better than a constant, not worse than what serves, and callable as before. */
function defaultGates(task: Task): GateSpec[] {
  const metric = task === 'binary' ? 'logLoss' : 'rmse';
  return [
    { kind: 'baseline', metric, by: 0 },
    { kind: 'champion', metric, margin: 0, confidence: 0.95 },
    { kind: 'compatible' },
  ];
}

/** Twice `max`, as hours of a day may differ so much; for probabilities at most halfway to 1, which none differ by. */
function defaultGross(max: number, task: Task): number {
  return task === 'binary' ? Math.min(2 * max, (1 + max) / 2) : 2 * max;
}

function resolveRollout(rollout: Human<'rollout'>, task: Task): RolloutSpec {
  const { disagreement } = rollout;
  return {
    bootstrap: rollout.bootstrap,
    steps: rollout.steps.map((step) => ({ weight: step.weight, forMs: step.for })),
    bakeMs: rollout.bake,
    extensions: rollout.extensions,
    errors: rollout.errors,
    disagreement: disagreement
      ? { ...disagreement, gross: disagreement.gross ?? defaultGross(disagreement.max, task) }
      : null,
    quality: rollout.quality ?? null,
  };
}
