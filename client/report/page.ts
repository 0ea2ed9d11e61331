import { escapeHtml } from './charts';

export interface ReportSection {
  readonly title: string;
  /** Plain text under the title. */
  readonly lead: string;
  /** Trusted HTML made by the functions of this folder. */
  readonly html: string;
}

/** One self-contained HTML file: no script, no external file; light and dark by the reader's setting. */
export function renderPage(title: string, subtitle: string, sections: readonly ReportSection[]): string {
  const body = sections
    .map(
      (section) =>
        `<section><h2>${escapeHtml(section.title)}</h2><p class="lead">${escapeHtml(section.lead)}</p>${section.html}</section>`,
    )
    .join('\n');
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><style>${style}</style></head>
<body><header><h1>${escapeHtml(title)}</h1><p>${escapeHtml(subtitle)}</p></header>
${body}
</body></html>
`;
}

/** Cells are plain text; a cell that starts with `✓` or `✗` is coloured as such. */
export function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cell = (text: string): string => {
    const tone = text.startsWith('✓') ? ' class="good"' : text.startsWith('✗') ? ' class="bad"' : '';
    return `<td${tone}>${escapeHtml(text)}</td>`;
  };
  const header = head.map((text) => `<th>${escapeHtml(text)}</th>`).join('');
  return `<div class="scroll"><table><thead><tr>${header}</tr></thead><tbody>${rows.map((row) => `<tr>${row.map(cell).join('')}</tr>`).join('')}</tbody></table></div>`;
}

export interface TimelineEvent {
  readonly at: string;
  readonly kind: string;
  readonly text: string;
  readonly detail: string;
}

/** Decisions in order, each with what it was made from. */
export function renderTimeline(events: readonly TimelineEvent[]): string {
  const items = events.map(
    (event) =>
      `<li><time>${escapeHtml(event.at)}</time><b>${escapeHtml(event.kind)}</b> ${escapeHtml(event.text)}${event.detail ? `<br><code>${escapeHtml(event.detail)}</code>` : ''}</li>`,
  );
  return `<ol class="timeline">${items.join('')}</ol>`;
}

const style = `
:root{--ink:#1b2430;--soft:#5b6875;--paper:#fbfbf9;--line:#d9dde2;--card:#fff;--good:#0b7a4b;--bad:#b3261e;--event:#8a5cd1}
@media (prefers-color-scheme:dark){:root{--ink:#e8ecf1;--soft:#9aa7b4;--paper:#12161b;--line:#2c343d;--card:#181d24;--good:#4cc38a;--bad:#ff8078;--event:#b794f6}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1040px;margin:0 auto;padding:24px 20px 80px}
h1{font-size:28px;margin:0}header p,.lead{color:var(--soft);margin:.2em 0 1em}h2{font-size:19px;margin:2.2em 0 0}
figure{margin:12px 0;padding:12px 14px;background:var(--card);border:1px solid var(--line);border-radius:8px}
figcaption{font-weight:600}figcaption span{font-weight:400;color:var(--soft)}svg{width:100%;height:auto;display:block}
svg text{font:11px system-ui,sans-serif;fill:var(--soft)}svg .legend{fill:var(--ink);font-size:12px}svg .mark{fill:var(--event)}
.grid{stroke:var(--line)}.axis{stroke:var(--soft)}.event{stroke:var(--event);stroke-dasharray:2 3}.level{stroke:var(--bad);stroke-dasharray:6 4}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:14px}th,td{text-align:left;padding:6px 10px;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600}.good{color:var(--good);font-weight:600}.bad{color:var(--bad);font-weight:600}.empty{color:var(--soft)}
.timeline{list-style:none;padding:0;border-left:2px solid var(--line)}.timeline li{padding:4px 0 8px 14px}.timeline time{color:var(--soft);font-variant-numeric:tabular-nums;margin-right:8px}
.timeline b{color:var(--event);font-weight:600}code{font-size:12px;color:var(--soft);word-break:break-all}
`;
