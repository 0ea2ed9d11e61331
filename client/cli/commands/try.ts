import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { readColumns, readRows } from '../../data-files';
import { type Latency, measureLatency } from '../../latency';
import { openPredictor, type PredictRow } from '../../predict';
import { type LocalGateway, openForTrial, serveFile, type TriedModel } from '../../try-model';
import { SlipwayError } from '../../../workflows/domain/errors';
import { withExample } from '../examples';
import { parseCount, parseNames } from '../options';
import { formatNumber, formatTable } from '../output';
import { action, type Session } from '../session';

interface TryOptions {
  readonly features?: string;
  readonly rows: string;
  readonly port: string;
  readonly serve?: boolean;
}

const ROWS_SHOWN = 20;
const LATENCY_CALLS = { calls: 300, forMs: 3000 };

export function addTry(program: Command): void {
  const command = program
    .command('try <onnx> <data>')
    .description('serve and score a model file of your own: no keys, no approvals, nothing kept')
    .option('--features <names>', 'columns that a matrix input takes, in the order that it was trained with: a,b,c')
    .option('--rows <count>', 'rows of the data to score', '10')
    .option('--port <port>', 'port of the little gateway (default: a free one)', '0')
    .option('--serve', 'go on serving until Ctrl-C')
    .action(action(tryModel));
  withExample(
    command,
    'slipway try model.onnx data.parquet',
    'slipway try model.onnx data.csv --features age,income,visits --rows 100 --json',
  );
}

async function tryModel(session: Session, onnx: string, data: string, options: TryOptions): Promise<void> {
  const limit = parseCount('--rows', options.rows);
  const port = parseCount('--port', options.port, 0);
  const columns = await readColumns(data);
  const folder = await mkdtemp(join(tmpdir(), 'slipway-try-model-'));
  try {
    const model = await openForTrial(onnx, columns, parseNames(options.features), folder);
    const rows = await readRows(data, columns, model.signature.inputs, limit);
    if (rows.length === 0) throw new SlipwayError('DATA_EMPTY_SPLIT', `${data} has no rows`);
    const gateway = await serveFile(model.path, model.signature, port);
    try {
      await report(session, { onnx, data, options, model, rows, gateway });
      if (options.serve === true) await untilStopped();
    } finally {
      await gateway.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Trial {
  readonly onnx: string;
  readonly data: string;
  readonly options: TryOptions;
  readonly model: TriedModel;
  readonly rows: readonly PredictRow[];
  readonly gateway: LocalGateway;
}

async function report(session: Session, trial: Trial): Promise<void> {
  const { model, rows, gateway } = trial;
  const ask = await openPredictor(gateway.model, gateway.url);
  const { scores, failure } = await scoreRows(ask, rows);
  const answered = rows.filter((_, at) => scores[at] !== null);
  if (answered.length === 0) throw failure!;
  const latency = await measureLatency((turn) => ask({ rows: [answered[turn % answered.length]!] }), LATENCY_CALLS);
  const { inputs, output } = model.signature;
  const names = inputs.map((input) => input.name);
  const scored = rows.map((row, at) => ({ ...row, [output.name]: scores[at] ?? null }));
  session.result({ signature: model.signature, changes: model.changes, latency, rows: scored }, [
    ...model.changes,
    ...(model.changes.length > 0 ? [''] : []),
    ...formatTable(
      [...names, output.name],
      scored.slice(0, ROWS_SHOWN).map((row) => [...names, output.name].map((name) => cellOf(row, name))),
    ),
    ...(scored.length > ROWS_SHOWN ? [`… and ${scored.length - ROWS_SHOWN} more rows; --json has all`] : []),
    ...(failure
      ? ['', `${rows.length - answered.length} of ${rows.length} rows have no score; the first: ${failure.message}`]
      : []),
    '',
    describeLatency(latency),
    ...nextSteps(trial),
  ]);
}

type Ask = Awaited<ReturnType<typeof openPredictor>>;

/** One by one where they cannot be scored together, so that a row with a missing value does not hide what the others get. */
async function scoreRows(
  ask: Ask,
  rows: readonly PredictRow[],
): Promise<{ scores: readonly (number | null)[]; failure: SlipwayError | null }> {
  try {
    return { scores: (await ask({ rows })).scores, failure: null };
  } catch (error) {
    if (!isOfRow(error)) throw error;
  }
  let failure: SlipwayError | null = null;
  const scores: (number | null)[] = [];
  for (const row of rows) {
    const score = await ask({ rows: [row] }).then(
      (answer) => answer.scores[0] ?? null,
      (error: unknown) => {
        if (!isOfRow(error)) throw error;
        failure ??= error;
        return null;
      },
    );
    scores.push(score);
  }
  return { scores, failure };
}

function isOfRow(error: unknown): error is SlipwayError {
  return error instanceof SlipwayError && (error.code === 'INFERENCE_FAILED' || error.code === 'INPUT_INVALID');
}

function describeLatency({ calls, p50Ms, p99Ms }: Latency): string {
  return `one row by HTTP: median ${formatNumber(p50Ms)} ms, 99 % within ${formatNumber(p99Ms)} ms (${calls} requests, one after the other)`;
}

function nextSteps({ onnx, data, options, gateway }: Trial): string[] {
  const features = options.features === undefined ? '' : ` --features ${options.features}`;
  return [
    ...(options.serve === true
      ? [`serving at ${gateway.url}/v2/models/${gateway.model}/infer until Ctrl-C`]
      : ['next: the same with --serve, to send requests of your own']),
    `next: slipway init --model <project/model> --data ${data}, then`,
    `      slipway release import ${onnx} --spec model.yaml${features}, for gates, approval and a canary`,
  ];
}

function untilStopped(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
}

function cellOf(row: PredictRow, name: string): string {
  const value = row[name] ?? null;
  return typeof value === 'number' ? formatNumber(value) : String(value ?? '-');
}
