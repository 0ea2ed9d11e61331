/** Charts as plain SVG text: no script, no font, no file beside them, so that a report can be mailed and archived. */

export type Point = readonly [x: number, y: number];

export interface LineSeries {
  readonly name: string;
  readonly points: readonly Point[];
  /** Lower and upper bound at each x, drawn as a band behind the line. */
  readonly band?: readonly (readonly [x: number, low: number, high: number])[];
  readonly dashed?: boolean;
}

export interface Mark {
  readonly x: number;
  readonly label: string;
}

export interface LineChart {
  readonly title: string;
  readonly unit: string;
  readonly series: readonly LineSeries[];
  /** Vertical lines with a label, such as a promotion. */
  readonly marks?: readonly Mark[];
  /** Horizontal lines, such as a bound. */
  readonly levels?: readonly { readonly y: number; readonly label: string }[];
  readonly formatX: (x: number) => string;
  readonly formatY: (y: number) => string;
}

export interface StackedBars {
  readonly title: string;
  readonly unit: string;
  readonly names: readonly string[];
  readonly bars: readonly { readonly x: number; readonly values: readonly number[] }[];
  readonly marks?: readonly Mark[];
  readonly formatX: (x: number) => string;
  readonly formatY: (y: number) => string;
}

const width = 960;
const height = 260;
const plot = { left: 64, right: 16, top: 34, bottom: 30 };
/** Okabe and Ito's palette, which people with any colour vision tell apart (jfly.uni-koeln.de/color, 2008). */
const palette = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#7f7f7f'];

export function colorOf(index: number): string {
  return palette[index % palette.length]!;
}

interface Scale {
  readonly low: number;
  readonly high: number;
  place(value: number): number;
}

function scale(values: readonly number[], from: number, to: number, pad: number): Scale {
  const finite = values.filter(Number.isFinite);
  let low = finite.length > 0 ? Math.min(...finite) : 0;
  let high = finite.length > 0 ? Math.max(...finite) : 1;
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const margin = (high - low) * pad;
  [low, high] = [low - margin, high + margin];
  return { low, high, place: (value) => from + ((value - low) / (high - low)) * (to - from) };
}

const fixed = (value: number): string => value.toFixed(1);
export const escapeHtml = (text: string): string =>
  text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;');

/** Lines over a common x; an empty chart says that there is nothing to show. */
export function lineChart(chart: LineChart): string {
  const points = chart.series.flatMap((series) => series.points);
  if (points.length === 0) return emptyChart(chart.title);
  const bands = chart.series.flatMap((series) => series.band ?? []);
  const levels = chart.levels ?? [];
  const x = scale(
    [...points.map(([at]) => at), ...(chart.marks ?? []).map((mark) => mark.x)],
    plot.left,
    width - plot.right,
    0.01,
  );
  const y = scale(
    [
      ...points.map(([, value]) => value),
      ...bands.flatMap(([, low, high]) => [low, high]),
      ...levels.map((level) => level.y),
    ],
    height - plot.bottom,
    plot.top,
    0.06,
  );
  const body = chart.series.map((series, index) => drawSeries(series, colorOf(index), x, y)).join('');
  const drawnLevels = levels
    .map((level) => {
      const at = fixed(y.place(level.y));
      return `<line class="level" x1="${plot.left}" x2="${width - plot.right}" y1="${at}" y2="${at}"/><text class="mark" x="${width - plot.right}" y="${fixed(y.place(level.y) - 4)}" text-anchor="end">${escapeHtml(level.label)}</text>`;
    })
    .join('');
  const legend = drawLegend(chart.series.map((series) => series.name));
  return frame(chart, axes(x, y, chart) + drawnLevels + body + drawMarks(chart.marks ?? [], x) + legend);
}

/** Bars stacked in the order of `names`, one per x. */
export function stackedBars(chart: StackedBars): string {
  if (chart.bars.length === 0) return emptyChart(chart.title);
  const x = scale(
    [...chart.bars.map((bar) => bar.x), ...(chart.marks ?? []).map((mark) => mark.x)],
    plot.left + 8,
    width - plot.right - 8,
    0,
  );
  const totals = chart.bars.map((bar) => bar.values.reduce((sum, value) => sum + value, 0));
  const y = scale([0, ...totals], height - plot.bottom, plot.top, 0);
  const barWidth = Math.max(1, Math.min(24, ((width - plot.left - plot.right) / chart.bars.length) * 0.8));
  const body = chart.bars.map((bar) => drawBar(bar, barWidth, x, y)).join('');
  return frame(chart, axes(x, y, chart) + body + drawMarks(chart.marks ?? [], x) + drawLegend(chart.names));
}

function drawBar(bar: StackedBars['bars'][number], barWidth: number, x: Scale, y: Scale): string {
  let below = 0;
  return bar.values
    .map((value, index) => {
      const top = y.place(below + value);
      const tall = y.place(below) - top;
      below += value;
      return tall > 0
        ? `<rect x="${fixed(x.place(bar.x) - barWidth / 2)}" y="${fixed(top)}" width="${fixed(barWidth)}" height="${fixed(tall)}" fill="${colorOf(index)}"/>`
        : '';
    })
    .join('');
}

function drawSeries(series: LineSeries, color: string, x: Scale, y: Scale): string {
  const path = series.points
    .map(([at, value], index) => `${index === 0 ? 'M' : 'L'}${fixed(x.place(at))} ${fixed(y.place(value))}`)
    .join('');
  const dots =
    series.points.length > 60
      ? ''
      : series.points
          .map(
            ([at, value]) =>
              `<circle cx="${fixed(x.place(at))}" cy="${fixed(y.place(value))}" r="2.4" fill="${color}"/>`,
          )
          .join('');
  const line = `<path d="${path}" fill="none" stroke="${color}" stroke-width="1.8"${series.dashed ? ' stroke-dasharray="5 4"' : ''}/>`;
  return drawBand(series.band ?? [], color, x, y) + line + dots;
}

function drawBand(band: NonNullable<LineSeries['band']>, color: string, x: Scale, y: Scale): string {
  if (band.length < 2) return '';
  const upper = band.map(([at, , high]) => `${fixed(x.place(at))},${fixed(y.place(high))}`);
  const lower = band.map(([at, low]) => `${fixed(x.place(at))},${fixed(y.place(low))}`).reverse();
  return `<polygon points="${[...upper, ...lower].join(' ')}" fill="${color}" opacity="0.16"/>`;
}

function axes(x: Scale, y: Scale, chart: Pick<LineChart, 'formatX' | 'formatY'>): string {
  const bottom = height - plot.bottom;
  const rows = niceTicks(y.low, y.high, 5).map((value) => {
    const at = fixed(y.place(value));
    return `<line class="grid" x1="${plot.left}" x2="${width - plot.right}" y1="${at}" y2="${at}"/><text class="tick" x="${plot.left - 8}" y="${fixed(y.place(value) + 4)}" text-anchor="end">${escapeHtml(chart.formatY(value))}</text>`;
  });
  const columns = Array.from({ length: 7 }, (_, index) => x.low + ((x.high - x.low) * (index + 0.5)) / 7).map(
    (value) =>
      `<text class="tick" x="${fixed(x.place(value))}" y="${bottom + 18}" text-anchor="middle">${escapeHtml(chart.formatX(value))}</text>`,
  );
  return `${rows.join('')}<line class="axis" x1="${plot.left}" x2="${width - plot.right}" y1="${bottom}" y2="${bottom}"/>${columns.join('')}`;
}

/** Round values inside [low, high]: steps of 1, 2 or 5 times a power of ten. */
export function niceTicks(low: number, high: number, wanted: number): number[] {
  const raw = (high - low) / wanted;
  const magnitude = 10 ** Math.floor(Math.log10(raw));
  const step = magnitude * ([1, 2, 5].find((factor) => factor * magnitude >= raw) ?? 10);
  const ticks: number[] = [];
  for (let index = Math.ceil(low / step); index * step <= high; index += 1) ticks.push(index * step);
  return ticks;
}

function drawMarks(marks: readonly Mark[], x: Scale): string {
  return marks
    .map((mark, index) => {
      const at = fixed(x.place(mark.x));
      return `<line class="event" x1="${at}" x2="${at}" y1="${plot.top}" y2="${height - plot.bottom}"/><text class="mark" x="${fixed(x.place(mark.x) + 3)}" y="${plot.top + 10 + (index % 3) * 12}">${escapeHtml(mark.label)}</text>`;
    })
    .join('');
}

function drawLegend(names: readonly string[]): string {
  let left = plot.left;
  return names
    .map((name, index) => {
      const item = `<rect x="${left}" y="10" width="12" height="12" rx="2" fill="${colorOf(index)}"/><text class="legend" x="${left + 17}" y="20">${escapeHtml(name)}</text>`;
      left += 34 + name.length * 7;
      return item;
    })
    .join('');
}

function frame(chart: { readonly title: string; readonly unit: string }, body: string): string {
  return `<figure><figcaption>${escapeHtml(chart.title)} <span>${escapeHtml(chart.unit)}</span></figcaption><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(chart.title)}">${body}</svg></figure>`;
}

function emptyChart(title: string): string {
  return `<figure><figcaption>${escapeHtml(title)}</figcaption><p class="empty">Nothing was recorded.</p></figure>`;
}
