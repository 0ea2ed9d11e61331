import type { Command } from 'commander';
import { SlipwayError } from '../../../workflows/domain/errors';
import type { ModelName } from '../../../workflows/domain/names';
import type { GatewayHeartbeat } from '../../../workflows/domain/gateway';
import { keys } from '../../../workflows/domain/keys';
import type { DeploymentStatus } from '../../../workflows/deployment.messages';
import { listAll } from '../../../infra/object-store/list-all';
import { isDeployable, type ListedRun } from '../../run-list';
import type { SlipwayClient } from '../../slipway-client';
import { describeError } from '../errors';
import { withExample } from '../examples';
import { formatTable, shortDigest } from '../output';
import { drawDecision, drawRun, drawVerdict } from '../run-picture';
import { action, type Session } from '../session';

const RUNS_SHOWN = 10;
/** Gateways say something every few seconds; one that was silent for so long may be gone. */
const SILENT_AFTER_MS = 60_000;
/** A status is read, not drawn: nothing is cut. */
const NO_LIMIT = Number.MAX_SAFE_INTEGER;

export function addStatus(program: Command): void {
  const command = program
    .command('status [model]')
    .description('what exists, what serves, what runs; of all models, of one, or of one run')
    .option('--run <run>', 'one run, with its gates and approvals')
    .action(action(status));
  withExample(
    command,
    'slipway status',
    'slipway status flights/late-arrival',
    'slipway status flights/late-arrival --run r-0123456789-1',
  );
}

async function status(session: Session, model: string | undefined, options: { run?: string }): Promise<void> {
  const client = await session.client();
  if (model === undefined) await statusOfAll(session, client);
  else if (options.run === undefined) await statusOfModel(session, client, model);
  else await statusOfRun(session, client, model, options.run);
}

async function statusOfAll(session: Session, client: SlipwayClient): Promise<void> {
  const models = await client.listModels();
  const all = await Promise.all(
    models.map(async (model) => ({
      model,
      ...(await deploymentOf(client, model)),
      newest: (await client.listRuns(model))[0] ?? null,
    })),
  );
  if (all.length === 0) {
    session.result(
      [],
      [
        `workspace ${client.config.workspace} has no models yet`,
        'next: slipway init --model <project/model>, then slipway run model.yaml',
      ],
    );
    return;
  }
  const rows = all.map(({ model, deployment, problem, newest }) => [
    model,
    problem === null ? serving(deployment) : `unknown: ${problem}`,
    trial(deployment),
    newest ? `${newest.request.run} ${outcomeOf(newest)}` : '-',
  ]);
  session.result(all, formatTable(['MODEL', 'SERVES', 'ON TRIAL', 'NEWEST RUN'], rows));
}

/** One deployment that cannot answer, because its workflow meets a defect, must not hide the other models. */
async function deploymentOf(
  client: SlipwayClient,
  model: ModelName,
): Promise<{ deployment: DeploymentStatus | null; problem: string | null }> {
  try {
    return { deployment: await client.deploymentStatus(model), problem: null };
  } catch (error) {
    if (describeError(error).code !== 'INTERNAL') throw error;
    return { deployment: null, problem: error instanceof Error ? error.message : String(error) };
  }
}

async function statusOfModel(session: Session, client: SlipwayClient, model: ModelName): Promise<void> {
  const runs = await client.listRuns(model);
  // The store says what exists, also while Temporal is away.
  if (runs.length === 0 && !(await isDeployable(client.store, model)))
    throw new SlipwayError('NOT_FOUND', `no model ${model} in workspace ${client.config.workspace}`);
  const deployment = await client.deploymentStatus(model);
  const shown = runs.slice(0, RUNS_SHOWN);
  session.result({ deployment, runs: shown }, [
    `${model}  serves ${serving(deployment)}${deployment?.champion ? `  ${shortDigest(deployment.champion.digest)}` : ''}`,
    ...(await gatewayProblems(client, model)),
    ...(deployment?.rollout
      ? [`on trial ${trial(deployment)}`, ...deployment.rollout.verdicts.map((verdict) => `  ${drawVerdict(verdict)}`)]
      : []),
    '',
    ...formatTable(
      ['RUN', 'CAUSE', 'AS OF', 'STARTED', 'OUTCOME'],
      shown.map((run) => [
        run.request.run,
        run.request.cause,
        run.request.asOf,
        run.request.requestedAt,
        outcomeOf(run),
      ]),
    ),
    ...(await whatWaits(client, runs)),
  ]);
}

/** What gateways that are alive say is wrong with the model: a release that does not open, a server that stays away. */
async function gatewayProblems({ store }: SlipwayClient, model: ModelName): Promise<string[]> {
  const lines: string[] = [];
  for await (const key of listAll(store, keys.gateways)) {
    const bytes = await store.get(key);
    if (!bytes) continue;
    const { id, at, models } = JSON.parse(Buffer.from(bytes).toString('utf8')) as GatewayHeartbeat;
    const problem = models[model]?.problem;
    if (problem && Date.now() - Date.parse(at) < SILENT_AFTER_MS)
      lines.push(`gateway ${id} says ${problem.code}: ${problem.message}`);
  }
  return lines;
}

/** A run that waits for people says so here too, with what to type; it needs Temporal, which the table does not. */
async function whatWaits(client: SlipwayClient, runs: readonly ListedRun[]): Promise<string[]> {
  const open = runs.filter(({ result }) => result === null).slice(0, RUNS_SHOWN);
  const lines = await Promise.all(
    open.map(async ({ request }) => {
      const run = await client.runStatus(request.model, request.run).catch(() => null);
      return run?.stage === 'awaiting-approval' ? ['', `run ${run.run} waits`, ...drawDecision(run, Date.now())] : [];
    }),
  );
  return lines.flat();
}

async function statusOfRun(session: Session, client: SlipwayClient, model: ModelName, run: string): Promise<void> {
  const [current, deployment] = await Promise.all([client.runStatus(model, run), client.deploymentStatus(model)]);
  session.result(current, drawRun({ run: current, deployment, nowMs: Date.now() }, NO_LIMIT));
}

function serving(deployment: DeploymentStatus | null): string {
  return deployment?.champion
    ? `release ${deployment.champion.version} (generation ${deployment.generation})`
    : 'nothing';
}

function trial(deployment: DeploymentStatus | null): string {
  const rollout = deployment?.rollout;
  if (!rollout) return '-';
  return `release ${rollout.release.version} at ${Math.round((rollout.weights.challenger ?? 0) * 100)} %, step ${rollout.step + 1}/${rollout.steps}`;
}

function outcomeOf(run: ListedRun): string {
  return run.result?.outcome ?? 'in progress';
}
