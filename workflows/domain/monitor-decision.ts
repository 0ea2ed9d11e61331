import type { MonitorDecision, MonitorReport } from './monitoring';
import type { MonitorSpec } from './spec';
import type { Verdict } from './verdict';

/** Since when a check fails without a pass in between: ends of windows, epoch ms. */
export interface Streak {
  readonly firstToMs: number;
  readonly lastToMs: number;
}

/** What one look leaves for the next one of the same release. */
export interface MonitorState {
  readonly schema: 'slipway.monitor-state/1';
  readonly release: number;
  readonly look: string;
  readonly windowToMs: number;
  /** By check. A check that passes has none; one that cannot be measured keeps the one it had. */
  readonly streaks: Readonly<Record<string, Streak>>;
  /** Rows of the latest windows, newest last, at most `KEPT_VOLUMES`. */
  readonly volumes: readonly number[];
}

export const KEPT_VOLUMES = 8;

/**
 * State after a look. A look at another release starts anew. Looks may overlap, so a streak counts in windows, not in looks:
 * `consecutiveWindows`.
 */
export function advanceState(
  before: MonitorState | null,
  look: string,
  windowToMs: number,
  report: Pick<MonitorReport, 'release' | 'drift' | 'calibration' | 'rows'>,
): MonitorState {
  const same = before?.release === report.release ? before : null;
  const streaks: Record<string, Streak> = {};
  for (const { check, outcome } of [...report.drift, report.calibration]) {
    const kept = same?.streaks[check];
    if (outcome === 'fail') streaks[check] = { firstToMs: kept?.firstToMs ?? windowToMs, lastToMs: windowToMs };
    else if (outcome === 'inconclusive' && kept) streaks[check] = kept;
  }
  const volumes = [...(before?.volumes ?? []), report.rows].slice(-KEPT_VOLUMES);
  return { schema: 'slipway.monitor-state/1', release: report.release, look, windowToMs, streaks, volumes };
}

/** Whole windows, without overlap, that a streak has lasted. */
export function consecutiveWindows(streak: Streak | undefined, windowMs: number): number {
  return streak ? 1 + Math.floor((streak.lastToMs - streak.firstToMs) / windowMs) : 0;
}

export interface DecisionInput {
  readonly spec: MonitorSpec;
  readonly report: Pick<MonitorReport, 'dataQuality' | 'drift' | 'calibration'>;
  readonly state: Pick<MonitorState, 'streaks'>;
  /** When the cooldown ends, for people; null where a retrain may start. */
  readonly coolingUntil: string | null;
}

/**
 * What a look leads to. Broken data come first: a retrain would learn them. Then decay, which labels prove, then drift, which
 * only inputs show. No data never means healthy (invariant I5).
 */
export function decideLook({ spec, report, state, coolingUntil }: DecisionInput): {
  readonly decision: MonitorDecision;
  readonly detail: string;
} {
  const broken = report.dataQuality.filter(isFail);
  if (broken.length > 0) return { decision: 'data-broken', detail: describe(broken) };
  const lasted = (verdict: Verdict): number => consecutiveWindows(state.streaks[verdict.check], spec.windowMs);
  const decayed = [report.calibration].filter(
    (verdict) => isFail(verdict) && lasted(verdict) >= spec.calibration.consecutive,
  );
  const drifted = report.drift.filter((verdict) => isFail(verdict) && lasted(verdict) >= spec.drift.consecutive);
  const found = [...decayed, ...drifted];
  if (found.length > 0) {
    const detail = `${describe(found)}; for ${Math.max(...found.map(lasted))} windows`;
    if (!spec.retrain.enabled) return { decision: decayed.length > 0 ? 'decayed' : 'drifted', detail };
    if (coolingUntil !== null)
      return { decision: 'cooling-down', detail: `${detail}; no retrain before ${coolingUntil}` };
    return { decision: 'retrain', detail };
  }
  const checks = [...report.dataQuality, ...report.drift, report.calibration];
  // That requests came in well formed says nothing yet of the model: drift or calibration must have been measured.
  const measured = [...report.drift, report.calibration].filter(({ outcome }) => outcome !== 'inconclusive');
  if (report.dataQuality.length === 0 || measured.length === 0)
    return {
      decision: 'not-measurable',
      detail: checks.find(({ resolves }) => resolves)?.resolves ?? 'nothing was seen',
    };
  return { decision: 'healthy', detail: describeHealth(checks, lasted, spec) };
}

function describeHealth(checks: readonly Verdict[], lasted: (verdict: Verdict) => number, spec: MonitorSpec): string {
  const watched = checks.filter(isFail).map((verdict) => {
    const needed = verdict.check === 'calibration' ? spec.calibration.consecutive : spec.drift.consecutive;
    return `${verdict.check} fails for ${lasted(verdict)} of ${needed} windows`;
  });
  const open = checks.filter(({ outcome }) => outcome === 'inconclusive').map(({ check }) => `${check} is open`);
  const passed = checks.filter(({ outcome }) => outcome === 'pass').length;
  return [`${passed} of ${checks.length} checks pass`, ...watched, ...open].join('; ');
}

function isFail(verdict: Verdict): boolean {
  return verdict.outcome === 'fail';
}

function describe(verdicts: readonly Verdict[]): string {
  return verdicts.map(({ check, detail }) => `${check}: ${detail}`).join('; ');
}
