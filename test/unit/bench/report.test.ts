import {
  atLeast,
  atMost,
  figure,
  markdownTable,
  notMeasured,
  replaceBetweenMarkers,
  sectionMarkdown,
  spreadText,
} from '../../bench/gateway/report';

const SPREAD = { median: 2, min: 1.234, max: 30.44 };

describe('a figure', () => {
  it.each([
    [0, '0.000'],
    [0.01234, '0.012'],
    [0.5, '0.500'],
    [2, '2.00'],
    [54.32, '54.3'],
    [1_104.4, '1104'],
    [37_100, '37100'],
    [-1.5, '-1.50'],
    [Infinity, 'Infinity'],
  ])('%d has three digits: %s', (value, text) => {
    expect(figure(value)).toBe(text);
  });

  it('stands with its lowest and highest round', () => {
    expect(spreadText(SPREAD, ' µs')).toBe('2.00 µs (1.23–30.4)');
  });
});

describe('a line', () => {
  it('is met when the median is, at the limit too', () => {
    expect([atMost('x', SPREAD, 2).isMet, atMost('x', SPREAD, 1.9).isMet]).toEqual([true, false]);
    expect([atLeast('x', SPREAD, 2).isMet, atLeast('x', SPREAD, 2.1).isMet]).toEqual([true, false]);
  });

  it('that was not measured is neither met nor missed, and says why', () => {
    const section = { id: 'x', title: 'T', remarks: [], table: null, lines: [notMeasured('p99', '< 1', 'no wrk')] };
    expect(sectionMarkdown(section)).toContain('| p99 | < 1 | not measured | –: no wrk |');
  });
});

describe('the table writer', () => {
  it('writes Markdown', () => {
    expect(markdownTable(['a', 'b'], [['1', '2']])).toBe('| a | b |\n|---|---|\n| 1 | 2 |');
  });

  it('lets no cell break its table', () => {
    expect(markdownTable(['a'], [['x|y\n z']])).toBe('| a |\n|---|\n| x\\|y z |');
    expect(() => markdownTable(['a', 'b'], [['1']])).toThrow(RangeError);
  });

  it('writes a section as title, table, lines and remarks', () => {
    const text = sectionMarkdown({
      id: 'x',
      title: 'Title',
      remarks: ['one', 'two'],
      table: { head: ['a'], rows: [['1']] },
      lines: [atMost('cost', SPREAD, 1, ' %')],
    });
    expect(text.split('\n\n')).toEqual([
      '### Title',
      '| a |\n|---|\n| 1 |',
      '| line | limit | measured | met |\n|---|---|---|---|\n| cost | ≤ 1 % | 2.00 % (1.23–30.4) | **no** |',
      '- one\n- two',
    ]);
  });
});

describe('the page', () => {
  const page = 'before\n<!-- bench:gateway:a -->\nold\n<!-- /bench:gateway:a -->\nafter\n';

  it('gets the new text between the markers, and the same page when it is written twice', () => {
    const once = replaceBetweenMarkers(page, 'a', 'new $& text');
    expect(once).toBe('before\n<!-- bench:gateway:a -->\nnew $& text\n<!-- /bench:gateway:a -->\nafter\n');
    expect(replaceBetweenMarkers(once, 'a', 'new $& text')).toBe(once);
  });

  it('is refused without its markers, with them the wrong way round, and with two of them', () => {
    for (const wrong of ['nothing', '<!-- /bench:gateway:a --><!-- bench:gateway:a -->', page + page])
      expect(() => replaceBetweenMarkers(wrong, 'a', 'x')).toThrow(/needs/);
  });
});
