import type { ScorerMetrics, SplitName } from '../../workflows/domain/run';
import type { MetricName, ModelSpec, Task } from '../../workflows/domain/spec';
import { advantageLowerBound } from '../../workflows/domain/statistics/day-resampling';
import type { DayRows } from '../../workflows/domain/statistics/day-resampling';
import { measure } from '../../workflows/domain/statistics/metrics';
import type { DayMetrics, Evaluation } from './job';

/** Scores of the same rows, with when they were seen (epoch ms). */
export interface ScoredRows {
  readonly labels: Float64Array;
  readonly eventTimes: Float64Array;
  readonly candidate: Float32Array;
  readonly champion: Float32Array | null;
  /** What predicting the mean label of the training split gives each row. */
  readonly trainingMean: number;
}

const METRICS_OF: Readonly<Record<Task, readonly MetricName[]>> = {
  binary: ['auc', 'logLoss', 'brier', 'calibrationError'],
  regression: ['rmse', 'mae', 'r2'],
};

/** Where no champion gate names one. */
const DEFAULT_CONFIDENCE = 0.95;

type Measured = Pick<Evaluation, 'metrics' | 'byDay' | 'candidateUnscored'>;

/** All metrics of the task and of the gates, for every scorer, and by day. Nothing is measured from scores that are none. */
export function measureScorers(spec: Pick<ModelSpec, 'task' | 'gates' | 'training'>, rows: ScoredRows): Measured {
  const names = [
    ...new Set([
      ...METRICS_OF[spec.task],
      ...spec.gates.flatMap((gate) => (gate.kind === 'compatible' ? [] : [gate.metric])),
    ]),
  ];
  const days = daysOf(rows);
  const candidateUnscored = invalidScores(spec.task, rows.candidate);
  const candidate = candidateUnscored === null ? rows.candidate : null;
  const champion = rows.champion && invalidScores(spec.task, rows.champion) === null ? rows.champion : null;
  const baseline = new Float64Array(rows.labels.length).fill(rows.trainingMean);
  const measureAll = (metric: MetricName): ScorerMetrics => ({
    candidate: candidate && measure(metric, candidate, rows.labels),
    baseline: measure(metric, baseline, rows.labels),
    champion: champion && measure(metric, champion, rows.labels),
    advantageLowerBound:
      candidate && champion && advantageLowerBound(metric, days, confidenceOf(spec, metric), spec.training.seed),
  });
  return {
    metrics: Object.fromEntries(names.map((metric) => [metric, measureAll(metric)])),
    byDay: days.map((day) => dayMetrics(day, names, candidate !== null, champion !== null)),
    ...(candidateUnscored === null ? {} : { candidateUnscored }),
  };
}

/** Says what is wrong with scores; null when nothing is. */
export function invalidScores(task: Task, scores: Float32Array, split: SplitName = 'holdout'): string | null {
  const wrong = scores.reduce(
    (count, score) => count + (Number.isFinite(score) && (task !== 'binary' || (score >= 0 && score <= 1)) ? 0 : 1),
    0,
  );
  if (wrong === 0) return null;
  return `${wrong} of ${scores.length} ${split} rows get a score that is no ${task === 'binary' ? 'probability' : 'finite number'}.`;
}

function confidenceOf({ gates }: Pick<ModelSpec, 'gates'>, metric: MetricName): number {
  const asked = gates.flatMap((gate) => (gate.kind === 'champion' && gate.metric === metric ? [gate.confidence] : []));
  return asked.length > 0 ? Math.max(...asked) : DEFAULT_CONFIDENCE;
}

/** Rows by UTC day, days ascending. Without a champion its column is the candidate's; nobody reads it then. */
export function daysOf(rows: Omit<ScoredRows, 'trainingMean'>): DayRows[] {
  const byDay = new Map<string, number[]>();
  rows.eventTimes.forEach((instant, row) => {
    const day = new Date(instant).toISOString().slice(0, 10);
    const known = byDay.get(day);
    if (known) known.push(row);
    else byDay.set(day, [row]);
  });
  const pick = (column: Float64Array | Float32Array, indexes: readonly number[]): Float64Array =>
    Float64Array.from(indexes, (row) => column[row]!);
  return [...byDay]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([day, indexes]) => ({
      day,
      labels: pick(rows.labels, indexes),
      candidate: pick(rows.candidate, indexes),
      champion: pick(rows.champion ?? rows.candidate, indexes),
    }));
}

function dayMetrics(
  day: DayRows,
  names: readonly MetricName[],
  hasCandidate: boolean,
  hasChampion: boolean,
): DayMetrics {
  const rows = day.labels.length;
  const labels = Array.from({ length: rows }, (_, row) => day.labels[row]!);
  return {
    day: day.day,
    rows,
    meanLabel: labels.reduce((sum, label) => sum + label, 0) / rows,
    metrics: Object.fromEntries(
      names.map((metric) => [
        metric,
        {
          candidate: hasCandidate ? measure(metric, day.candidate, day.labels) : null,
          champion: hasChampion ? measure(metric, day.champion, day.labels) : null,
        },
      ]),
    ),
  };
}
