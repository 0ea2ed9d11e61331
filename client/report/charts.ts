/** Charts over time as plain SVG text: no script, no font, no file beside them, so that a report can be mailed and archived. */
import {
  drawAxes,
  frame,
  type Lanes,
  lanesOf,
  marksWithin,
  type Panel,
  panelOf,
  scale,
  type Scale,
  type TimeMark,
} from './chart-frame';
import { escapeHtml } from './html';

/** Epoch milliseconds and a value. */
export type Point = readonly [atMs: number, value: number];

export interface LineSeries {
  readonly name: string;
  readonly points: readonly Point[];
  /** Lower and upper bound at each time, drawn as a band behind the line. */
  readonly band?: readonly (readonly [atMs: number, low: number, high: number])[];
  /** Points only, in grey: single observations beside the line that sums them up. */
  readonly dotsOnly?: boolean;
}

interface ChartText {
  readonly title: string;
  readonly unit: string;
  /** Vertical lines with a label above the plot, such as a promotion. Those outside of the data are left out. */
  readonly marks?: readonly TimeMark[];
  readonly formatY: (y: number) => string;
  /** Of the plot, in units of a width of 960. Default 190. */
  readonly tall?: number;
}

export interface LineChart extends ChartText {
  readonly series: readonly LineSeries[];
  /** Horizontal lines with a label, such as a bound. */
  readonly levels?: readonly { readonly y: number; readonly label: string }[];
  /** What is allowed, shaded. */
  readonly zone?: { readonly low: number; readonly high: number; readonly label: string };
}

export interface StackedBars extends ChartText {
  readonly names: readonly string[];
  readonly bars: readonly { readonly atMs: number; readonly values: readonly number[] }[];
}

/** Okabe and Ito's palette, which people with any colour vision tell apart (jfly.uni-koeln.de/color, 2008). */
const palette = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];
const grey = '#8a94a0';

const colorOf = (index: number): string => palette[index % palette.length]!;
const fixed = (value: number): string => value.toFixed(1);

/** Lines over time; an empty chart says that there is nothing to show. */
export function lineChart(chart: LineChart): string {
  const points = chart.series.flatMap((series) => series.points);
  if (points.length === 0) return emptyChart(chart.title);
  const { levels = [], zone } = chart;
  const times = points.map(([atMs]) => atMs);
  const bounds = chart.series.flatMap((series) => series.band ?? []).flatMap(([, low, high]) => [low, high]);
  const values = [...points.map(([, value]) => value), ...bounds, ...levels.map(({ y }) => y)];
  const marks = marksWithin(chart.marks ?? [], times);
  const lanes = lanesOf(marks, times);
  const panel = panelOf(chart.tall, lanes);
  const x = scale(times, panel.left, panel.right, 0.015);
  const y = scale(zone ? [...values, zone.low, zone.high] : values, panel.bottom, panel.top, 0.06);
  const colors = chart.series.map((series, index) => (series.dotsOnly ? grey : colorOf(index)));
  const body =
    (zone ? drawZone(zone, panel, y) : '') +
    drawAxes(panel, x, y, chart.formatY) +
    chart.series.map((series, index) => drawSeries(series, colors[index]!, x, y)).join('') +
    levels.map((level) => drawLevel(level, panel, y)).join('') +
    drawMarks(marks, lanes, panel, x);
  return framed(chart, panel, body, drawLegend(chart.series.map(({ name }, index) => [name, colors[index]!])));
}

/** Bars stacked in the order of `names`, one for each time. */
export function stackedBars(chart: StackedBars): string {
  if (chart.bars.length === 0) return emptyChart(chart.title);
  const times = chart.bars.map(({ atMs }) => atMs);
  const marks = marksWithin(chart.marks ?? [], times);
  const lanes = lanesOf(marks, times);
  const panel = panelOf(chart.tall, lanes);
  const x = scale(times, panel.left + 8, panel.right - 8, 0);
  const totals = chart.bars.map(({ values }) => values.reduce((sum, value) => sum + value, 0));
  const y = scale([0, Math.max(...totals) * 1.06], panel.bottom, panel.top, 0);
  const barWidth = Math.max(1, Math.min(24, ((panel.right - panel.left) / chart.bars.length) * 0.8));
  const body =
    drawAxes(panel, x, y, chart.formatY) +
    chart.bars.map((bar) => drawBar(bar, barWidth, x, y)).join('') +
    drawMarks(marks, lanes, panel, x);
  return framed(chart, panel, body, drawLegend(chart.names.map((name, index) => [name, colorOf(index)])));
}

function drawBar(bar: StackedBars['bars'][number], barWidth: number, x: Scale, y: Scale): string {
  let below = 0;
  return bar.values
    .map((value, index) => {
      const top = y.place(below + value);
      const tall = y.place(below) - top;
      below += value;
      return tall > 0
        ? `<rect x="${fixed(x.place(bar.atMs) - barWidth / 2)}" y="${fixed(top)}" width="${fixed(barWidth)}" height="${fixed(tall)}" fill="${colorOf(index)}"/>`
        : '';
    })
    .join('');
}

function drawSeries(series: LineSeries, color: string, x: Scale, y: Scale): string {
  const dots = series.points.map(
    ([atMs, value]) =>
      `<circle cx="${fixed(x.place(atMs))}" cy="${fixed(y.place(value))}" r="${series.dotsOnly ? 3 : 2.4}" fill="${color}"/>`,
  );
  if (series.dotsOnly) return dots.join('');
  const path = series.points.map(
    ([atMs, value], index) => `${index === 0 ? 'M' : 'L'}${fixed(x.place(atMs))} ${fixed(y.place(value))}`,
  );
  const line = `<path d="${path.join('')}" fill="none" stroke="${color}" stroke-width="2"/>`;
  return drawBand(series.band ?? [], color, x, y) + line + (dots.length > 60 ? '' : dots.join(''));
}

function drawBand(band: NonNullable<LineSeries['band']>, color: string, x: Scale, y: Scale): string {
  if (band.length < 2) return '';
  const upper = band.map(([atMs, , high]) => `${fixed(x.place(atMs))},${fixed(y.place(high))}`);
  const lower = band.map(([atMs, low]) => `${fixed(x.place(atMs))},${fixed(y.place(low))}`).reverse();
  return `<polygon points="${[...upper, ...lower].join(' ')}" fill="${color}" opacity="0.16"/>`;
}

function drawZone({ low, high, label }: NonNullable<LineChart['zone']>, panel: Panel, y: Scale): string {
  const top = y.place(high);
  const tall = y.place(low) - top;
  return `<rect class="zone" x="${panel.left}" y="${fixed(top)}" width="${panel.right - panel.left}" height="${fixed(tall)}"/><text class="note" x="${panel.right - 6}" y="${fixed(top + 13)}" text-anchor="end">${escapeHtml(label)}</text>`;
}

function drawLevel(level: { y: number; label: string }, panel: Panel, y: Scale): string {
  const at = y.place(level.y);
  return `<line class="level" x1="${panel.left}" x2="${panel.right}" y1="${fixed(at)}" y2="${fixed(at)}"/><text class="note" x="${panel.right - 6}" y="${fixed(at + 14)}" text-anchor="end">${escapeHtml(level.label)}</text>`;
}

function drawMarks(marks: readonly TimeMark[], lanes: Lanes, panel: Panel, x: Scale): string {
  return marks
    .map(({ atMs, label }, index) => {
      const at = x.place(atMs);
      const lane = panel.laneTop + 12 + lanes.lane[index]! * lanes.height;
      const flipped = lanes.flipped[index]!;
      return `<line class="event" x1="${fixed(at)}" x2="${fixed(at)}" y1="${fixed(lane - 9)}" y2="${panel.bottom}"/><text class="mark" x="${fixed(at + (flipped ? -4 : 4))}" y="${fixed(lane)}" text-anchor="${flipped ? 'end' : 'start'}">${escapeHtml(label)}</text>`;
    })
    .join('');
}

function drawLegend(items: readonly (readonly [name: string, color: string])[]): string {
  return items
    .map(([name, color]) => `<span class="key"><i style="background:${color}"></i>${escapeHtml(name)}</span>`)
    .join('');
}

function framed(chart: ChartText, panel: Panel, body: string, legend: string): string {
  return frame(escapeHtml(chart.title), escapeHtml(chart.unit), legend, panel, body);
}

function emptyChart(title: string): string {
  return `<figure><figcaption>${escapeHtml(title)}</figcaption><p class="empty">Nothing was recorded.</p></figure>`;
}
