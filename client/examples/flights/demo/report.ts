import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AuditEntry } from '../../../../workflows/domain/audit';
import type { ObservationDocument } from '../../../../workflows/domain/observation';
import type { Rollout } from '../../../../workflows/domain/rollout';
import { advantageSeries, LARGEST_DAY_ADVANTAGE } from '../../../../workflows/domain/statistics/paired-days';
import { keys } from '../../../../workflows/domain/keys';
import { createPredictionReader } from '../../../../infra/predictions/reader';
import { type LineSeries, lineChart, stackedBars } from '../../../report/charts';
import { renderPage, renderTable, renderTimeline, type ReportSection } from '../../../report/page';
import { auditEntries, dayOf, type Demo, MODEL, percent } from './context';
import type { Look } from './decay';
import { pairedDaysOf } from './paired-days';

const DAY_MS = 86_400_000;

/** Everything in the report is read back from the store: what was recorded, not what the demo believes. */
export async function writeReport(demo: Demo, looks: readonly Look[], file: string): Promise<void> {
  const observations = await readObservations(demo);
  const entries = await auditEntries(demo);
  const sections: ReportSection[] = [
    {
      title: 'What had to happen',
      lead: 'Each line is a claim and the value that decided it. One that does not hold makes the demo fail.',
      html: claims(demo),
    },
    {
      title: 'Traffic',
      lead: 'Answered requests by event day and arm, as the gateways counted them.',
      html: trafficCharts(demo, observations),
    },
    {
      title: 'Paired quality',
      lead: "The challenger's advantage in log loss on the same requests, by matured day, with a confidence sequence that is valid at every look.",
      html: await qualityCharts(demo, entries),
    },
    {
      title: 'Calibration',
      lead: 'Mean score minus mean label by week. It decays in late April while no input drifts.',
      html: await calibrationChart(demo),
    },
    {
      title: 'Drift by feature',
      lead: 'Population stability index of each look against the training profile of the release that served.',
      html: driftChart(looks),
    },
    {
      title: 'Decisions',
      lead: 'From the audit log, in order, each with what it was made from.',
      html: timeline(entries),
    },
  ];
  await writeFile(
    file,
    renderPage(
      'flights/late-arrival',
      `${demo.traffic.counts.requests} requests of recorded traffic, ${entries.length} audit entries`,
      sections,
    ),
  );
}

function claims(demo: Demo): string {
  return renderTable(
    ['', 'claim', 'measured', 'act'],
    demo.ledger.lines.map(({ held, claim, measured, act }) => [
      held ? '✓' : '✗',
      claim,
      measured,
      act.split(':')[0] ?? '',
    ]),
  );
}

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
  const marks = demo.marks.map((mark) => ({ x: mark.atMs, label: mark.label }));
  const formats = { formatX: dayOf, formatY: (y: number) => String(Math.round(y)) };
  return (
    stackedBars({
      title: 'Requests',
      unit: 'a day',
      names,
      marks,
      ...formats,
      bars: sorted.map(([x, day]) => ({ x, values: day.requests })),
    }) +
    stackedBars({
      title: 'Errors',
      unit: 'a day',
      names,
      ...formats,
      bars: sorted.map(([x, day]) => ({ x, values: day.errors })),
    })
  );
}

async function qualityCharts(demo: Demo, entries: readonly AuditEntry[]): Promise<string> {
  const charts: string[] = [];
  for (const rollout of rolloutsOf(entries)) {
    const days = await pairedDaysOf(demo, {
      generations: rollout.generations,
      challenger: rollout.version,
      fromMs: Date.UTC(2001, 2, 1),
      toMs: demo.traffic.nextDayMs,
    });
    if (days.length === 0) continue;
    const series = advantageSeries(days, 0.05, LARGEST_DAY_ADVANTAGE);
    const at = (day: string): number => Date.parse(day);
    const lines: LineSeries[] = [
      {
        name: 'mean so far',
        points: series.map((point) => [at(point.day), point.mean]),
        band: series.map((point) => [at(point.day), point.lower, point.upper]),
      },
      { name: 'day', points: series.map((point) => [at(point.day), point.advantage]), dashed: true },
    ];
    charts.push(
      lineChart({
        title: `Release ${rollout.version} against the champion`,
        unit: "advantage, share of the champion's log loss",
        series: lines,
        levels: [{ y: 0, label: 'no difference' }],
        formatX: dayOf,
        formatY: (y) => percent(y),
      }),
    );
  }
  return charts.join('');
}

/** Generations in which a release was the challenger. */
function rolloutsOf(entries: readonly AuditEntry[]): { version: number; generations: number[] }[] {
  const found = new Map<number, number[]>();
  for (const { kind, data } of entries) {
    if (kind !== 'route.intended') continue;
    const arms = (data['arms'] as readonly { name: string; release: Rollout['release'] }[] | undefined) ?? [];
    const challenger = arms.find((arm) => arm.name === 'challenger');
    if (challenger)
      found.set(challenger.release.version, [
        ...(found.get(challenger.release.version) ?? []),
        Number(data['generation']),
      ]);
  }
  return [...found].map(([version, generations]) => ({ version, generations }));
}

async function calibrationChart(demo: Demo): Promise<string> {
  const reader = createPredictionReader(demo.client.store, join(demo.stack.config.home, 'cache', 'report'));
  const toMs = demo.traffic.nextDayMs;
  const days = await reader.dayScores({
    model: MODEL,
    fromMs: Date.UTC(2001, 2, 1),
    toMs,
    release: null,
    asOfMs: toMs,
  });
  const weeks = new Map<number, { rows: number; score: number; label: number }>();
  for (const day of days) {
    const at =
      Date.UTC(2001, 2, 1) + Math.floor((Date.parse(day.day) - Date.UTC(2001, 2, 1)) / (7 * DAY_MS)) * 7 * DAY_MS;
    const week = weeks.get(at) ?? { rows: 0, score: 0, label: 0 };
    weeks.set(at, {
      rows: week.rows + day.labelled,
      score: week.score + day.scoreSum,
      label: week.label + day.labelSum,
    });
  }
  const points = [...weeks]
    .filter(([, week]) => week.rows > 0)
    .map(([at, week]): [number, number] => [at, (week.score - week.label) / week.rows]);
  return lineChart({
    title: 'Mean score minus late rate',
    unit: 'by week',
    series: [{ name: 'gap', points }],
    levels: [
      { y: 0.03, label: 'bound of the monitor' },
      { y: -0.03, label: '' },
    ],
    marks: demo.marks.map((mark) => ({ x: mark.atMs, label: mark.label })),
    formatX: dayOf,
    formatY: (y) => y.toFixed(3),
  });
}

function driftChart(looks: readonly Look[]): string {
  const features = new Map<string, [number, number][]>();
  for (const look of looks) {
    for (const verdict of look.report.drift) {
      if (verdict.statistic.value === null) continue;
      features.set(verdict.check, [...(features.get(verdict.check) ?? []), [look.asOfMs, verdict.statistic.value]]);
    }
  }
  const series = [...features].map(([name, points]) => ({ name, points }));
  return lineChart({ title: 'PSI', unit: 'by look', series, formatX: dayOf, formatY: (y) => y.toFixed(2) });
}

function timeline(entries: readonly AuditEntry[]): string {
  const told = entries.filter(({ kind }) => kind !== 'route.intended');
  return renderTimeline(
    told.map((entry) => ({
      at: `#${entry.sequence} ${entry.at.slice(11, 19)}`,
      kind: entry.kind,
      text: `${entry.summary} (${entry.actor})`,
      detail: entry.evidence.map((digest) => digest.slice(0, 19)).join(' '),
    })),
  );
}
