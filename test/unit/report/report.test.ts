import fc from 'fast-check';
import { lineChart, stackedBars } from '../../../client/report/charts';
import { renderPage } from '../../../client/report/page';
import { escapeHtml } from '../../../client/report/html';

const DAY_MS = 86_400_000;

describe('the report', () => {
  it('puts a point where its value is: a higher value stands higher in the picture', () => {
    const svg = lineChart({
      title: 'gap',
      unit: 'by week',
      series: [{ name: 'gap', points: [1, 5, 3].map((value, at) => [at * DAY_MS, value] as const) }],
      formatY: String,
    });
    const path = /d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"/.exec(svg)!.slice(1).map(Number);
    const [x0, y0, x1, y1, x2, y2] = path as [number, number, number, number, number, number];
    expect([x0 < x1, x1 < x2]).toEqual([true, true]);
    expect([y1 < y2, y2 < y0]).toEqual([true, true]);
  });

  it('says that nothing was recorded instead of drawing an empty frame', () => {
    expect(lineChart({ title: 'gap', unit: '', series: [], formatY: String })).toContain('Nothing was recorded');
    expect(stackedBars({ title: 'errors', unit: '', names: ['champion'], bars: [], formatY: String })).toContain(
      'Nothing was recorded',
    );
  });

  it('lets no text that it is given become markup', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(escapeHtml(text)).not.toMatch(/[<>"]/);
      }),
    );
    expect(renderPage('<script>', 'x', [])).not.toContain('<script>');
  });

  it('needs no other file and no script', () => {
    const page = renderPage('flights/late-arrival', 'a subtitle', []);
    expect(page).not.toMatch(/<script|src=|href=|@import|url\(/);
  });
});
