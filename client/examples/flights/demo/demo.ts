import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { recordLabels } from '../../../../infra/labels/labels';
import { createSlipwayClient } from '../../../slipway-client';
import { makeFlights, readFlights } from '../recipe';
import { badReleases } from './bad-releases';
import { challenger } from './challenger';
import { type Demo, MODEL } from './context';
import { decay, type Look } from './decay';
import { firstRelease } from './first-release';
import { Ledger } from './ledger';
import { proof } from './proof';
import { writeReport } from './report';
import { seededRandom } from '../../../../workflows/domain/statistics/random';
import { startStack } from './stack';
import { Traffic } from './traffic';

const FIRST_DAY = Date.UTC(2001, 2, 1);
const CONCURRENCY = 16;

interface DemoOptions {
  readonly keep: boolean;
  readonly store: 'fs' | 's3';
  readonly seed: number;
}

/** The main job on real data, from an empty folder. Exit 0 only where every claim of the ledger held. */
async function main(options: DemoOptions): Promise<void> {
  const begun = Date.now();
  const ledger = new Ledger((line) => process.stdout.write(`${line}\n`));
  const folder = resolve('.slipway');
  ledger.begin(`Slipway demo: ${MODEL} (seed ${options.seed}: --seed ${options.seed} kills at the same points again)`);
  const making = makeFlights(join(folder, 'flights'));
  const stack = await startStack(folder, options.store, (line) => ledger.say(line));
  const client = await createSlipwayClient(stack.config);
  const files = await making;
  const traffic = new Traffic(
    {
      gatewayUrl: stack.state().urls.gateway,
      model: MODEL,
      concurrency: CONCURRENCY,
      flightsOf: (fromMs, toMs) => readFlights(files, fromMs, toMs),
      recordLabels: (rows) => recordLabels(client.store, MODEL, rows),
    },
    FIRST_DAY,
  );
  const demo: Demo = { ledger, client, stack, files, traffic, random: seededRandom(options.seed), marks: [] };
  const report = join(stack.config.home, 'report.html');
  try {
    await playActs(demo, report);
    conclude(ledger, report, begun);
  } finally {
    traffic.close();
    await client.close();
    if (options.keep) await keepUntilInterrupted(ledger, stack.state().urls.temporalUi);
    await stack.stop();
  }
}

async function playActs(demo: Demo, report: string): Promise<void> {
  const looks: Look[] = [];
  try {
    await firstRelease(demo);
    await challenger(demo);
    await badReleases(demo);
    await decay(demo, looks);
    await proof(demo);
  } finally {
    await writeReport(demo, looks, report);
  }
}

function conclude(ledger: Ledger, report: string, begun: number): void {
  const { lines, failed } = ledger;
  ledger.say('');
  ledger.say(
    `${lines.length - failed.length} of ${lines.length} claims held, in ${Math.round((Date.now() - begun) / 1000)} s`,
  );
  for (const line of failed) ledger.say(`did not hold: ${line.claim} (${line.measured})`);
  ledger.say(`report: ${report}`);
  if (failed.length > 0) process.exitCode = 1;
}

async function keepUntilInterrupted(ledger: Ledger, ui: string | null): Promise<void> {
  ledger.say(`the stack stays up until Ctrl-C; Temporal UI: ${ui ?? '(your server)'}`);
  const ticking = setInterval(() => undefined, 60_000);
  await new Promise<void>((done) => process.once('SIGINT', done).once('SIGTERM', done));
  clearInterval(ticking);
}

function parseOptions(argv: readonly string[]): DemoOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      keep: { type: 'boolean', default: false },
      store: { type: 'string', default: 'fs' },
      seed: { type: 'string' },
    },
  });
  if (values.store !== 'fs' && values.store !== 's3') throw new Error(`--store is fs or s3, not ${values.store}`);
  const seed = values.seed === undefined ? Math.floor(Math.random() * 1_000_000) : Number(values.seed);
  if (!Number.isInteger(seed)) throw new Error('--seed is a whole number');
  return { keep: values.keep, store: values.store, seed };
}

main(parseOptions(process.argv.slice(2))).catch((error: unknown) => {
  process.stderr.write(
    `the demo could not go on: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  process.exitCode = 1;
});
