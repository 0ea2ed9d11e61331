import { escapeHtml } from './html';

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

/** A claim and what was measured. */
export interface Claim {
  readonly held: boolean;
  readonly claim: string;
  readonly measured: string;
}

export interface ClaimGroup {
  readonly title: string;
  readonly claims: readonly Claim[];
}

/** Claims under the titles of their groups. */
export function renderClaims(groups: readonly ClaimGroup[]): string {
  const rows = groups.map(
    ({ title, claims }) =>
      `<tr class="group"><th colspan="3">${escapeHtml(title)}</th></tr>${claims.map(renderClaim).join('')}`,
  );
  return `<div class="scroll"><table class="claims"><tbody>${rows.join('')}</tbody></table></div>`;
}

function renderClaim({ held, claim, measured }: Claim): string {
  const sign = held ? '<td class="good">✓</td>' : '<td class="bad">✗</td>';
  return `<tr>${sign}<td>${escapeHtml(claim)}</td><td class="soft">${escapeHtml(measured)}</td></tr>`;
}

/** Large figures with what they count. */
export function renderFigures(figures: readonly (readonly [value: string, what: string])[]): string {
  const items = figures.map(([value, what]) => `<div><b>${escapeHtml(value)}</b>${escapeHtml(what)}</div>`);
  return `<div class="figures">${items.join('')}</div>`;
}

const style = `
:root{--ink:#1b2430;--soft:#5b6875;--paper:#f7f8f8;--line:#dde2e7;--card:#fff;--good:#0b7a4b;--bad:#b3261e;--event:#6b3fb0;--zone:#0b7a4b14}
@media (prefers-color-scheme:dark){:root{--ink:#e8ecf1;--soft:#9aa7b4;--paper:#12161b;--line:#2c343d;--card:#181d24;--good:#4cc38a;--bad:#ff8078;--event:#b794f6;--zone:#4cc38a1f}}
*{box-sizing:border-box}body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1040px;margin:0 auto;padding:28px 20px 80px}
h1{font-size:28px;margin:0}header p,.lead{color:var(--soft);margin:.2em 0 1em;max-width:80ch}h2{font-size:20px;margin:2.4em 0 0}
.figures{display:flex;flex-wrap:wrap;gap:10px;margin-bottom:12px}.figures div{flex:1 1 140px;padding:10px 14px;background:var(--card);border:1px solid var(--line);border-radius:8px;color:var(--soft);font-size:13px}.figures b{display:block;font-size:22px;color:var(--ink);font-variant-numeric:tabular-nums}
figure{margin:12px 0;padding:12px 14px 8px;background:var(--card);border:1px solid var(--line);border-radius:8px}
figcaption{display:flex;flex-wrap:wrap;gap:2px 8px;align-items:baseline;margin-bottom:4px}figcaption span{color:var(--soft);font-size:14px}.keys{margin-left:auto;display:flex;flex-wrap:wrap;gap:2px 16px}.key{font-size:13px}.key i{display:inline-block;width:11px;height:11px;border-radius:2px;margin-right:6px}
svg{width:100%;height:auto;display:block}svg text{font:11px system-ui,sans-serif;fill:var(--soft);paint-order:stroke;stroke:var(--card);stroke-width:3px;stroke-linejoin:round}svg .mark{fill:var(--event)}
.grid{stroke:var(--line)}.axis{stroke:var(--soft)}.event{stroke:var(--event);stroke-dasharray:2 3}.level{stroke:var(--soft);stroke-dasharray:6 4}.zone{fill:var(--zone)}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:8px}table{border-collapse:collapse;width:100%;font-size:14px}td{padding:5px 10px;vertical-align:top}.group th{text-align:left;padding:14px 12px 4px;border-top:1px solid var(--line)}tr.group:first-child th{border-top:0}
.claims td:nth-child(1){width:30px;padding-left:14px}.claims td:nth-child(2){width:40%}.soft{color:var(--soft)}.good{color:var(--good);font-weight:600}.bad{color:var(--bad);font-weight:600}.empty{color:var(--soft)}
details{margin:8px 0;background:var(--card);border:1px solid var(--line);border-radius:8px}summary{padding:9px 14px;cursor:pointer;font-weight:600}summary .when{float:right;font-weight:400;color:var(--soft);font-size:13px;margin-left:12px}
.log{list-style:none;margin:0;padding:2px 14px 10px}.log>li{display:grid;grid-template-columns:44px 72px 1fr;padding:4px 0;font-size:14px;border-top:1px solid var(--line)}.log time,.log .no{color:var(--soft);font-variant-numeric:tabular-nums;font-size:13px}
.log ul{margin:2px 0;padding-left:18px;color:var(--soft)}code{font-size:12px;color:var(--soft)}
`;
