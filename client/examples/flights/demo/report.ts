import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AuditEntry } from '../../../../workflows/domain/audit';
import type { ObservationDocument } from '../../../../workflows/domain/observation';
import type { Rollout } from '../../../../workflows/domain/rollout';
import { advantageSeries, LARGEST_DAY_ADVANTAGE } from '../../../../workflows/domain/statistics/paired-days';
import { keys } from '../../../../workflows/domain/keys';
import { createPredictionReader } from '../../../../infra/predictions/reader';
import { type LineSeries, lineChart, stackedBars } from '../../../report/charts';
import { renderDecisions } from '../../../report/decisions';
import { renderClaims, renderFigures, renderPage, type ReportSection } from '../../../report/page';
import { auditEntries, type Demo, MODEL, percent } from './context';
import type { Look } from './decay';
import { pairedDaysOf } from './paired-days';

const DAY_MS = 86_400_000;
const WEEK_MS = 7 * DAY_MS;
const FIRST_DAY = Date.UTC(2001, 2, 1);
/** Lines that never leave the floor say nothing; they are named instead. */
const WORTH_DRAWING_PSI = 0.05;

/** Everything in the report but the claims is read back from the store: what was recorded, not what the demo believes. */
export async function writeReport(demo: Demo, looks: readonly Look[], file: string): Promise<void> {
  const observations = await readObservations(demo);
  const entries = await auditEntries(demo);
  const sections: ReportSection[] = [
    {
      title: 'What had to happen',
      lead: 'Claims, each with what was measured. One that does not hold makes the demo fail.',
      html: figures(demo, entries) + claims(demo),
    },
    {
      title: 'Traffic',
      lead: 'Requests of recorded flights by day of 2001 and by the arm that answered, as the gateways counted them. A failed answer of the challenger is given again by the champion.',
      html: trafficCharts(demo, observations),
    },
    {
      title: 'Paired quality',
      lead: `Both arms score the same requests; a day counts once its labels have matured. Above zero the challenger has less log loss. The band is a 95 % confidence sequence, valid at every look, of the mean day; a day counts as at most ${percent(LARGEST_DAY_ADVANTAGE, 0)} either way.`,
      html: await qualityCharts(demo, entries),
    },
    {
      title: 'Calibration',
      lead: 'Mean score minus share of late flights, by week. From late April on, fewer flights are late than the model expects.',
      html: await calibrationChart(demo, looks),
    },
    {
      title: 'Drift by feature',
      lead: 'Population stability index at each look of the monitor, against the training profile of the release that served.',
      html: driftChart(demo, looks),
    },
    {
      title: 'Decisions',
      lead: 'From the signed audit log, in order: number, time (UTC), what was decided, by whom, and the digests of the evidence it was made from.',
      html: renderDecisions(entries),
    },
  ];
  const subtitle =
    'Will a flight arrive more than 15 minutes late? US flights of March to June 2001, replayed through the gateway.';
  await writeFile(file, renderPage('flights/late-arrival', subtitle, sections));
}

function figures(demo: Demo, entries: readonly AuditEntry[]): string {
  const { lines, failed } = demo.ledger;
  const { requests, answered } = demo.traffic.counts;
  const ends = (outcome: string): number =>
    entries.filter(({ kind, data }) => kind === 'rollout.ended' && data['outcome'] === outcome).length;
  return renderFigures([
    [`${lines.length - failed.length} of ${lines.length}`, 'claims held'],
    [thousands(requests), `requests, ${thousands(requests - answered)} without an answer`],
    [String(ends('promoted')), 'releases promoted'],
    [String(ends('rolled-back') + ends('inconclusive')), 'taken back or inconclusive'],
    [String(entries.length), 'audit entries'],
  ]);
}

function claims(demo: Demo): string {
  const acts = [...new Set(demo.ledger.lines.map(({ act }) => act))];
  return renderClaims(
    acts.map((act) => ({ title: act, claims: demo.ledger.lines.filter((line) => line.act === act) })),
  );
}

const thousands = (count: number): string => String(count).replace(/\B(?=(\d{3})+$)/g, ' ');

async function readObservations(demo: Demo): Promise<ObservationDocument[]> {
  const generation = (await demo.client.deploymentStatus(MODEL))?.generation ?? 0;
  const found: ObservationDocument[] = [];
  for (let at = 1; at <= generation; at += 1) {
    for (const key of await demo.client.store.list(keys.observations(MODEL, at))) {
      if (key.startsWith(keys.breakerEvents(MODEL, at))) continue;
      const bytes = await demo.client.store.get(key);
      if (bytes) found.push(JSON.parse(Buffer.from(bytes).toString()) as ObservationDocument);
    }
  }
  return found;
}

function trafficCharts(demo: Demo, observations: readonly ObservationDocument[]): string {
  const days = new Map<number, { requests: [number, number]; errors: [number, number] }>();
  for (const row of observations.flatMap((document) => document.windows)) {
    const at = Math.floor(row.startMs / DAY_MS) * DAY_MS;
    const day = days.get(at) ?? { requests: [0, 0], errors: [0, 0] };
    const arm = row.arm === 'champion' ? 0 : 1;
    day.requests[arm] += row.requests;
    day.errors[arm] += row.errors;
    days.set(at, day);
  }
  const sorted = [...days].sort(([a], [b]) => a - b);
  const names = ['champion', 'challenger'];
  const formatY = thousands;
  const barsOf = (counts: 'requests' | 'errors') => sorted.map(([atMs, day]) => ({ atMs, values: day[counts] }));
  return (
    stackedBars({ title: 'Requests', unit: 'a day', names, marks: demo.marks, formatY, bars: barsOf('requests') }) +
    stackedBars({ title: 'Errors', unit: 'a day', names, formatY, bars: barsOf('errors'), tall: 80 })
  );
}

async function qualityCharts(demo: Demo, entries: readonly AuditEntry[]): Promise<string> {
  const charts: string[] = [];
  for (const rollout of rolloutsOf(entries)) {
    const days = await pairedDaysOf(demo, {
      generations: rollout.generations,
      challenger: rollout.version,
      fromMs: FIRST_DAY,
      toMs: demo.traffic.nextDayMs,
    });
    if (days.length === 0) continue;
    const series = advantageSeries(days, 0.05, LARGEST_DAY_ADVANTAGE);
    const at = (day: string): number => Date.parse(day);
    const lines: LineSeries[] = [
      {
        name: 'mean day so far, with its confidence sequence',
        points: series.map((point) => [at(point.day), point.mean]),
        band: series.map((point) => [at(point.day), point.lower, point.upper]),
      },
      { name: 'one day', points: series.map((point) => [at(point.day), point.advantage]), dotsOnly: true },
    ];
    charts.push(
      lineChart({
        title: `Release ${rollout.version} against release ${rollout.champion}: ${rollout.outcome}`,
        unit: 'advantage in log loss',
        series: lines,
        levels: [{ y: 0, label: 'no difference' }],
        formatY: (y) => percent(y, 0),
        tall: 150,
      }),
    );
  }
  return charts.join('');
}

interface RolloutSeen {
  readonly version: number;
  readonly champion: number;
  readonly generations: number[];
  readonly outcome: string;
}

/** Releases that were challengers, with the generations of their routes and how it ended. */
function rolloutsOf(entries: readonly AuditEntry[]): RolloutSeen[] {
  const found = new Map<number, RolloutSeen>();
  for (const { kind, data } of entries) {
    if (kind !== 'route.intended') continue;
    const arms = (data['arms'] as readonly { name: string; release: Rollout['release'] }[] | undefined) ?? [];
    const versionOf = (name: string): number | undefined => arms.find((arm) => arm.name === name)?.release.version;
    const version = versionOf('challenger');
    if (version === undefined) continue;
    const outcome = outcomeOf(entries, version);
    const seen = found.get(version) ?? { version, champion: versionOf('champion') ?? 0, generations: [], outcome };
    seen.generations.push(Number(data['generation']));
    found.set(version, seen);
  }
  return [...found.values()];
}

function outcomeOf(entries: readonly AuditEntry[], version: number): string {
  const end = entries.find(
    ({ kind, data }) =>
      kind === 'rollout.ended' && (data['release'] as Rollout['release'] | undefined)?.version === version,
  );
  const outcome = end?.data['outcome'];
  return typeof outcome === 'string' ? outcome : 'not ended';
}

async function calibrationChart(demo: Demo, looks: readonly Look[]): Promise<string> {
  const reader = createPredictionReader(demo.client.store, join(demo.stack.config.home, 'cache', 'report'));
  const toMs = demo.traffic.nextDayMs;
  const days = await reader.dayScores({ model: MODEL, fromMs: FIRST_DAY, toMs, release: null, asOfMs: toMs });
  const weeks = new Map<number, { rows: number; score: number; label: number }>();
  for (const day of days) {
    const at = FIRST_DAY + Math.floor((Date.parse(day.day) - FIRST_DAY) / WEEK_MS) * WEEK_MS;
    const { rows, score, label } = weeks.get(at) ?? { rows: 0, score: 0, label: 0 };
    weeks.set(at, { rows: rows + day.requests, score: score + day.scoreSum, label: label + day.labelSum });
  }
  const points = [...weeks]
    .filter(([, week]) => week.rows > 0)
    .map(([at, week]): [number, number] => [at + WEEK_MS / 2, (week.score - week.label) / week.rows]);
  const bound = looks[0]?.report.calibration.bound.value;
  return lineChart({
    title: 'Mean score minus late rate',
    unit: 'by week',
    series: [{ name: 'gap', points }],
    ...(bound === undefined
      ? {}
      : { zone: { low: -bound, high: bound, label: `the monitor allows ±${bound} over its window` } }),
    marks: demo.marks,
    formatY: (y) => y.toFixed(2),
  });
}

function driftChart(demo: Demo, looks: readonly Look[]): string {
  const features = new Map<string, [number, number][]>();
  for (const look of looks) {
    for (const { check, statistic } of look.report.drift) {
      const name = check.replace(/^drift:/, '');
      if (statistic.value !== null) features.set(name, [...(features.get(name) ?? []), [look.asOfMs, statistic.value]]);
    }
  }
  const all = [...features].map(([name, points]) => ({ name, points }));
  const drawn = all.filter(({ points }) => points.some(([, psi]) => psi >= WORTH_DRAWING_PSI));
  const flat = all.filter((series) => !drawn.includes(series)).map(({ name }) => name);
  const bound = looks[0]?.report.drift[0]?.bound.value;
  return lineChart({
    title: 'Population stability index',
    unit: flat.length === 0 ? 'by look' : `by look; below ${WORTH_DRAWING_PSI} throughout: ${flat.join(', ')}`,
    series: drawn,
    levels: bound === undefined ? [] : [{ y: bound, label: `smallest effect that counts, ${bound}` }],
    marks: demo.marks,
    formatY: (y) => y.toFixed(1),
  });
}
