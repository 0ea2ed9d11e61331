import { shortDigest } from '../../workflows/domain/digest';
import type { AuditEntry } from '../../workflows/domain/audit';
import { ROLLOUT_OUTCOMES } from '../../workflows/domain/rollout';
import type { GateResult, Verdict } from '../../workflows/domain/verdict';
import { escapeHtml } from './html';

interface Group {
  readonly id: string;
  readonly entries: AuditEntry[];
  version: number | null;
  outcome: string | null;
}

/**
 * The audit log as people read it: what belongs to one run under its release and outcome, looks of the monitor between them, in the
 * order in which they began. Each decision stands with the verdicts and the evidence that it was made from.
 */
export function renderDecisions(entries: readonly AuditEntry[]): string {
  return groupEntries(entries).map(renderGroup).join('');
}

function groupEntries(entries: readonly AuditEntry[]): Group[] {
  const groups: Group[] = [];
  const byRun = new Map<string, Group>();
  const byVersion = new Map<number, Group>();
  for (const entry of entries) {
    const run = textOf(entry.data['run']) ?? textOf(recordOf(entry.data['args'])?.['run']);
    const version = versionOf(entry);
    const known = (run && byRun.get(run)) || (version !== null && byVersion.get(version));
    const group = known || openGroup(groups, run ?? entry.kind, entry);
    group.entries.push(entry);
    if (run) byRun.set(run, group);
    if (version !== null) byVersion.set(version, group);
    group.version ??= version;
    if (entry.kind === 'run.finished') group.outcome = textOf(entry.data['outcome']);
  }
  return groups;
}

/** Entries of no run that follow each other (looks of the monitor) share a group. */
function openGroup(groups: Group[], id: string, entry: AuditEntry): Group {
  const last = groups.at(-1);
  if (last?.id === id && id === entry.kind) return last;
  const group: Group = { id, entries: [], version: null, outcome: null };
  groups.push(group);
  return group;
}

function versionOf({ kind, data }: AuditEntry): number | null {
  if (typeof data['version'] === 'number') return data['version'];
  if (kind === 'route.intended') {
    const rollout = /^rollout-(\d+)-/.exec(textOf(data['intent']) ?? '');
    return rollout ? Number(rollout[1]) : null;
  }
  const version = (recordOf(data['release']) ?? recordOf(recordOf(data['args'])?.['release']))?.['version'];
  return typeof version === 'number' ? version : null;
}

function renderGroup(group: Group): string {
  const [first, last] = [group.entries[0]!, group.entries.at(-1)!];
  const span = `${first.at.slice(0, 10)} ${first.at.slice(11, 19)} – ${last.at.slice(11, 19)}`;
  const tone = group.outcome === 'promoted' ? 'good' : group.outcome === null ? 'soft' : 'bad';
  const outcome = group.outcome === null ? '' : `: <span class="${tone}">${escapeHtml(group.outcome)}</span>`;
  return `<details open><summary>${escapeHtml(titleOf(group))}${outcome}<span class="when">${span}</span></summary><ol class="log">${group.entries.map(renderEntry).join('')}</ol></details>`;
}

function titleOf({ id, version, entries }: Group): string {
  if (id === 'monitor.looked')
    return entries.length === 1 ? 'A look of the monitor' : `${entries.length} looks of the monitor`;
  if (version === null) return id.startsWith('r-') ? `Run ${id}` : id;
  return id.startsWith('r-') ? `Release ${version}, run ${id}` : `Release ${version}`;
}

function renderEntry(entry: AuditEntry): string {
  const details = detailsOf(entry).map((detail) => `<li>${escapeHtml(detail)}</li>`);
  const list = details.length === 0 ? '' : `<ul>${details.join('')}</ul>`;
  const evidence = entry.evidence.map(
    (digest) =>
      ` <code title="evidence ${escapeHtml(digest)}">${escapeHtml(shortDigest(digest).slice('sha256:'.length))}</code>`,
  );
  const by = entry.summary.includes(entry.actor) ? '' : ` <span class="soft">${escapeHtml(entry.actor)}</span>`;
  const text = headlineOf(entry) + by;
  return `<li><span class="no">${entry.sequence}</span><time>${entry.at.slice(11, 19)}</time><div>${text}${evidence.join('')}${list}</div></li>`;
}

/** Verdicts stand in the list below their judgement: the route and the end that follow from them do not repeat them. */
function headlineOf({ kind, data, summary }: AuditEntry): string {
  const outcome = kind === 'route.intended' ? outcomeOfRoute(data) : textOf(data['outcome']);
  const repeats = / (pass|fail|inconclusive): /.test(summary);
  const at = outcome === null || !repeats ? -1 : summary.indexOf(outcome);
  return escapeHtml(at < 0 ? summary : summary.slice(0, at + outcome!.length));
}

/** The reason of a route that ends a rollout begins with its outcome. */
function outcomeOfRoute(data: AuditEntry['data']): string | null {
  const [first = ''] = (textOf(data['reason']) ?? '').split(':');
  return (ROLLOUT_OUTCOMES as readonly string[]).includes(first) ? first : null;
}

/** What a decision was made from. */
function detailsOf({ kind, data }: AuditEntry): string[] {
  if (kind === 'gates.judged')
    return listOf<GateResult>(data['gates']).map(({ outcome, gate, detail }) => `${outcome} · ${gate}: ${detail}`);
  if (kind === 'rollout.judged')
    return listOf<Verdict>(data['verdicts']).map(({ outcome, check, detail }) => `${outcome} · ${check}: ${detail}`);
  return [];
}

function listOf<T>(value: unknown): readonly T[] {
  return Array.isArray(value) ? (value as T[]) : [];
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function recordOf(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
}
