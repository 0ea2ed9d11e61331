import type { Command } from 'commander';
import { predict, type PredictRow } from '../../predict';
import { readRows, serveFile, signatureOfFile } from '../../try-model';
import { withExample } from '../examples';
import { formatNumber, formatTable } from '../output';
import { action, type Session } from '../session';

interface TryOptions {
  readonly rows: string;
  readonly port: string;
  readonly serve?: boolean;
}

export function addTry(program: Command): void {
  const command = program
    .command('try <onnx> <data>')
    .description('serve and score a model file of your own: no keys, no approvals, nothing kept')
    .option('--rows <count>', 'rows of the data to score', '10')
    .option('--port <port>', 'port of the little gateway (default: a free one)', '0')
    .option('--serve', 'go on serving until Ctrl-C')
    .action(action(tryModel));
  withExample(command, 'slipway try model.onnx data.parquet', 'slipway try model.onnx data.csv --rows 100 --json');
}

async function tryModel(session: Session, onnx: string, data: string, options: TryOptions): Promise<void> {
  const signature = await signatureOfFile(onnx);
  const rows = await readRows(data, signature, Number(options.rows));
  const gateway = await serveFile(onnx, signature, Number(options.port));
  try {
    const { scores } = await predict(gateway.model, { gateway: gateway.url, rows });
    const names = signature.inputs.map((input) => input.name);
    session.result({ signature, rows: rows.map((row, at) => ({ ...row, [signature.output.name]: scores[at] })) }, [
      ...formatTable(
        [...names, signature.output.name],
        rows.map((row, at) => [...names.map((name) => cellOf(row, name)), formatNumber(scores[at])]),
      ),
      '',
      `served at ${gateway.url}/v2/models/${gateway.model}`,
      'next: slipway init --model <project/model>, then slipway release import for gates, approval and canary',
    ]);
    if (options.serve === true) await new Promise((resolve) => process.once('SIGINT', resolve));
  } finally {
    await gateway.close();
  }
}

function cellOf(row: PredictRow, name: string): string {
  const value = row[name] ?? null;
  return typeof value === 'number' ? formatNumber(value) : String(value ?? '-');
}
