/** Where things go in a chart: scales, ticks, and the lanes in which labels of marks do not touch. */

export interface TimeMark {
  readonly atMs: number;
  readonly label: string;
}

export interface Scale {
  readonly low: number;
  readonly high: number;
  place(value: number): number;
}

export interface Panel {
  readonly left: number;
  readonly right: number;
  /** First lane of labels. */
  readonly laneTop: number;
  readonly top: number;
  readonly bottom: number;
  readonly height: number;
}

const WIDTH = 960;
const LEFT = 56;
const RIGHT = WIDTH - 12;
const BELOW = 28;
const DEFAULT_TALL = 190;
const LANE_HEIGHT = 14;
/** Of 11 px system fonts, generously. */
const LETTER_WIDTH = 6.2;
const DAY_MS = 86_400_000;
const DAY_STEPS = [1, 2, 4, 7, 14, 28, 56];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** Maps values to [from, to], with a share of room at both ends. */
export function scale(values: readonly number[], from: number, to: number, pad: number): Scale {
  const finite = values.filter(Number.isFinite);
  let low = finite.length > 0 ? Math.min(...finite) : 0;
  let high = finite.length > 0 ? Math.max(...finite) : 1;
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const margin = (high - low) * pad;
  [low, high] = [low - margin, high + margin];
  return { low, high, place: (value) => from + ((value - low) / (high - low)) * (to - from) };
}

export function panelOf(tall: number | undefined, lanes: Pick<Lanes, 'count' | 'height'>): Panel {
  const laneTop = 2;
  const top = laneTop + (lanes.count === 0 ? 8 : lanes.count * lanes.height + 6);
  const bottom = top + (tall ?? DEFAULT_TALL);
  return { left: LEFT, right: RIGHT, laneTop, top, bottom, height: bottom + BELOW };
}

/** A mark that lies outside of what is drawn says nothing about it. */
export function marksWithin(marks: readonly TimeMark[], times: readonly number[]): TimeMark[] {
  const [low, high] = [Math.min(...times) - DAY_MS, Math.max(...times) + DAY_MS];
  return marks.filter(({ atMs }) => atMs >= low && atMs <= high).sort((a, b) => a.atMs - b.atMs);
}

export interface Lanes {
  readonly lane: readonly number[];
  /** The label stands to the left of its line, where the right has no room. */
  readonly flipped: readonly boolean[];
  readonly count: number;
  readonly height: number;
}

/** The first lane, from the top, in which a label does not touch the one before. */
export function lanesOf(marks: readonly TimeMark[], times: readonly number[]): Lanes {
  const x = scale(times, LEFT, RIGHT, 0.015);
  const taken: { from: number; to: number }[][] = [];
  const flipped: boolean[] = [];
  const lane = marks.map(({ atMs, label }) => {
    const at = x.place(atMs);
    const wide = label.length * LETTER_WIDTH + 8;
    const left = at + wide > RIGHT;
    flipped.push(left);
    const span = left ? { from: at - wide, to: at + 2 } : { from: at - 2, to: at + wide };
    let index = taken.findIndex((spans) => spans.every(({ from, to }) => span.from > to || span.to < from));
    if (index < 0) index = taken.push([]) - 1;
    taken[index]!.push(span);
    return index;
  });
  return { lane, flipped, count: taken.length, height: LANE_HEIGHT };
}

/** Grid lines with values, and days along the bottom. */
export function drawAxes(panel: Panel, x: Scale, y: Scale, formatY: (y: number) => string): string {
  const rows = niceTicks(y.low, y.high, 6).map((value) => {
    const at = y.place(value);
    return `<line class="grid" x1="${panel.left}" x2="${panel.right}" y1="${at.toFixed(1)}" y2="${at.toFixed(1)}"/><text x="${panel.left - 8}" y="${(at + 4).toFixed(1)}" text-anchor="end">${formatY(value)}</text>`;
  });
  const columns = dayTicks(x.low, x.high, 10).map((atMs) => {
    const at = x.place(atMs).toFixed(1);
    return `<line class="axis" x1="${at}" x2="${at}" y1="${panel.bottom}" y2="${panel.bottom + 4}"/><text x="${at}" y="${panel.bottom + 18}" text-anchor="middle">${sayDay(atMs)}</text>`;
  });
  return `${rows.join('')}<line class="axis" x1="${panel.left}" x2="${panel.right}" y1="${panel.bottom}" y2="${panel.bottom}"/>${columns.join('')}`;
}

/** Round values inside [low, high]: steps of 1, 2 or 5 times a power of ten. */
function niceTicks(low: number, high: number, wanted: number): number[] {
  const raw = (high - low) / wanted;
  const magnitude = 10 ** Math.floor(Math.log10(raw));
  const step = magnitude * ([1, 2, 5].find((factor) => factor * magnitude >= raw) ?? 10);
  const ticks: number[] = [];
  for (let index = Math.ceil(low / step); index * step <= high; index += 1) ticks.push(index * step);
  return ticks;
}

/** Midnights (UTC) inside [low, high], at most `wanted`, whole days apart. */
function dayTicks(low: number, high: number, wanted: number): number[] {
  const step = DAY_MS * (DAY_STEPS.find((days) => (high - low) / (days * DAY_MS) <= wanted) ?? DAY_STEPS.at(-1)!);
  const ticks: number[] = [];
  for (let at = Math.ceil(low / DAY_MS) * DAY_MS; at <= high; at += step) ticks.push(at);
  return ticks;
}

/** `9 Mar`. */
function sayDay(atMs: number): string {
  const at = new Date(atMs);
  return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]!}`;
}

/** Title and legend above the drawing. Texts are HTML already. */
export function frame(title: string, unit: string, legend: string, panel: Panel, body: string): string {
  return `<figure><figcaption><b>${title}</b> <span>${unit}</span><span class="keys">${legend}</span></figcaption><svg viewBox="0 0 ${WIDTH} ${panel.height}" role="img" aria-label="${title}">${body}</svg></figure>`;
}
