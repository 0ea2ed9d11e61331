import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { readHistory, type RouteStep } from '../../../infra/audit/history';
import { type ServedAt, servedAt, servedBy, type ServedRelease } from '../../../infra/audit/served-at';
import { findRequest, type LoggedPrediction } from '../../../infra/predictions/find-request';
import { OVERRIDE_ARM } from '../../../infra/predictions/schema';
import { loadTrust } from '../../../infra/signing/trust';
import { SlipwayError } from '../../../workflows/domain/errors';
import { applyCalibration } from '../../../workflows/domain/statistics/calibration-map';
import type { Clock } from '../../../workflows/domain/spec';
import { withExample } from '../examples';
import { parseInstant } from '../instants';
import { formatNumber, formatTable, shortDigest } from '../output';
import { action, type Session } from '../session';
import { whyNotForProduction } from '../../../workflows/domain/release';

interface HistoryOptions {
  readonly at?: string;
  readonly request?: string;
  readonly day?: string;
  readonly inputs?: boolean;
  readonly clock?: Clock;
}

export function addHistory(program: Command): void {
  const command = program
    .command('history <model>')
    .description('what served when and why; with --at, who approved it and on what evidence')
    .option('--at <instant>', 'what served at this instant')
    .option('--request <id>', 'which release answered this request, and who let it serve')
    .option('--day <day>', 'with --request: event day to look in, UTC (default: from the newest back)')
    .option('--inputs', 'with --request: show what was sent, too')
    .addOption(
      new Option('--clock <clock>', 'how the instant is meant (default: the clock of the routes)').choices([
        'wall',
        'event',
      ]),
    )
    .action(action(history));
  withExample(
    command,
    'slipway history flights/late-arrival',
    'slipway history flights/late-arrival --at 2001-03-20',
    'slipway history flights/late-arrival --request f-01234 --day 2001-03-20',
  );
}

async function history(session: Session, model: string, options: HistoryOptions): Promise<void> {
  if (options.request !== undefined) return requestHistory(session, model, options.request, options);
  const { store } = await session.client();
  const found = await readHistory(store, model);
  if (found.routes.length === 0)
    throw new SlipwayError('NOT_FOUND', `model ${model} never was served in workspace ${session.config.workspace}`);
  if (options.at === undefined) {
    session.result(
      found.routes,
      formatTable(['GENERATION', 'FROM', 'EVENT TIME', 'SERVES', 'BY', 'WHY'], found.routes.map(routeRow)),
    );
    return;
  }
  const instant = parseInstant(options.at);
  const trust = await loadTrust(session.config.trustFile);
  // Recorded traffic has event times; an instant before the first commit can only be meant so.
  const clock = options.clock ?? guessClock(found.routes, instant);
  const served = await servedAt(store, trust, model, instant, { clock });
  if (!served)
    throw new SlipwayError('NOT_FOUND', `nothing served ${model} at ${instant.toISOString()} (${clock} time)`);
  session.result(served, describeServed(served));
}

/** "Which model decided this, and on whose approval?" What was sent is shown on request only. */
async function requestHistory(
  session: Session,
  model: string,
  request: string,
  { day, inputs }: HistoryOptions,
): Promise<void> {
  const { store } = await session.client();
  const folder = join(session.config.home, 'cache', 'predictions');
  const searched = day === undefined ? null : parseInstant(day).toISOString().slice(0, 10);
  const rows = await findRequest(store, folder, model, request, searched);
  if (rows.length === 0)
    throw new SlipwayError(
      'NOT_FOUND',
      `the prediction log of ${model} has no request ${request} ${whereSearched(searched)}`,
    );
  const trust = await loadTrust(session.config.trustFile);
  const answers = await Promise.all(
    rows.map(async ({ inputs: sent, ...logged }) => {
      const served = await servedBy(store, trust, model, logged.generation);
      const release = served && releaseOf(served, logged);
      if (release?.release.version !== logged.release)
        throw new SlipwayError(
          'AUDIT_BROKEN',
          `the log says that release ${logged.release} answered ${logged.requestId} in generation ${logged.generation}, the audited route does not`,
        );
      const calibrated = calibratedOf(release, logged.score);
      return {
        ...{ ...logged, calibrated, ...(inputs === true ? { inputs: sent } : {}) },
        ...{ route: served!.route, served: release },
      };
    }),
  );
  session.result(
    answers,
    answers.flatMap((answer, at) => [...(at > 0 ? [''] : []), ...describeAnswer(answer)]),
  );
}

/** A tester may ask any arm of the route, also a shadow. */
function releaseOf(
  served: Pick<ServedAt, 'champion' | 'challenger' | 'shadows'>,
  { arm, release }: Pick<LoggedPrediction, 'arm' | 'release'>,
): ServedRelease | null {
  if (arm !== OVERRIDE_ARM) return served[arm];
  const all = [served.champion, served.challenger, ...served.shadows];
  return all.find((candidate) => candidate?.release.version === release) ?? null;
}

/** As a gateway gives it to who asks: by the map that was signed with the release. */
function calibratedOf({ calibration }: ServedRelease, score: number | null): number | null {
  return calibration === null || score === null ? null : Math.fround(applyCalibration(calibration, score));
}

function whereSearched(day: string | null): string {
  return day === null ? 'on any day that is kept' : `on ${day}; without --day all days are looked at`;
}

interface Answer extends Omit<LoggedPrediction, 'inputs'> {
  /** Null where the release has no map. */
  readonly calibrated: number | null;
  readonly inputs?: LoggedPrediction['inputs'];
  readonly route: RouteStep;
  readonly served: ServedRelease;
}

function describeAnswer(answer: Answer): string[] {
  const { route, served } = answer;
  const calibrated = answer.calibrated === null ? '' : `, calibrated ${formatNumber(answer.calibrated)}`;
  const what = answer.status === 'ok' ? `score ${formatNumber(answer.score)}${calibrated}` : answer.status;
  return [
    `request ${answer.requestId}: ${what}, event time ${answer.eventTime}, received ${answer.receivedAt}`,
    `  ${answer.arm === OVERRIDE_ARM ? 'as a tester asked, under' : `by the ${answer.arm} of`} generation ${route.generation}: ${route.reason} (${route.actor}, ${route.from})`,
    ...describeRelease(served),
    ...(answer.inputs === undefined ? [] : [`  inputs ${JSON.stringify(answer.inputs)}`]),
  ];
}

function guessClock(routes: readonly RouteStep[], instant: Date): Clock {
  const hasEventTime = routes.some((route) => route.eventFrom !== null);
  return hasEventTime && instant.getTime() < Date.parse(routes[0]!.from) ? 'event' : 'wall';
}

function routeRow(route: RouteStep): string[] {
  const arms = route.arms
    .map((arm) => `release ${arm.release.version}${route.arms.length > 1 ? ` ${Math.round(arm.weight * 100)} %` : ''}`)
    .join(' + ');
  return [
    String(route.generation),
    route.from,
    route.eventFrom ?? '-',
    arms === '' ? route.state : arms,
    route.actor,
    route.reason,
  ];
}

function describeServed(served: ServedAt): string[] {
  const { route, champion, challenger } = served;
  return [
    `${served.model} at ${served.instant} (${served.clock} time): generation ${route.generation}, ${route.reason} (${route.actor})`,
    ...(champion ? ['', 'champion', ...describeRelease(champion)] : ['', 'no champion']),
    ...(challenger ? ['', 'challenger', ...describeRelease(challenger)] : []),
  ];
}

function describeRelease(served: ServedRelease): string[] {
  const share = served.weight === null ? '' : `, ${Math.round(served.weight * 100)} % of callers`;
  const approvals = served.approvals.map(
    (approval) =>
      `  approved by ${approval.person} at ${approval.at}${approval.comment === '' ? '' : `: ${approval.comment}`}`,
  );
  return [
    `  release ${served.release.version} ${shortDigest(served.release.digest)}${share}, of run ${served.run} started by ${served.startedBy}`,
    ...(approvals.length > 0 ? approvals : [`  approvals required: ${served.approvalsRequired}`]),
    `  evidence ${shortDigest(served.evidence)}`,
    ...served.gates.map(
      (gate) => `    ${gate.outcome} ${gate.gate}: ${formatNumber(gate.value)} (bound ${formatNumber(gate.bound)})`,
    ),
    ...(served.production ? [] : [`  not for production: ${whyNotForProduction(served)}`]),
  ];
}
