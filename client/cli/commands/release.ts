import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { SlipwayError } from '../../../workflows/domain/errors';
import { prepareEndpoint, prepareImport, type PreparedImport } from '../../imports';
import { withExample } from '../examples';
import { parseNames } from '../options';
import { formatNumber, formatTable, shortDigest } from '../output';
import { findRelease, listReleases } from '../releases';
import { action, type Session } from '../session';
import { addRunOptions, type RunOptions, startAndReport } from './run';
import { readSpec } from './spec';

interface ImportOptions extends RunOptions {
  readonly endpoint?: string;
  readonly spec: string;
  readonly signature?: string;
  readonly features?: string;
  readonly holdout?: string;
}

export function addRelease(program: Command): void {
  const release = program.command('release').description('releases: signed, immutable model versions');
  const bring = addRunOptions(
    release
      .command('import [onnx]')
      .description('bring a model that was trained elsewhere, or a server that exists: it enters at the gates'),
  )
    .option('--endpoint <file>', 'endpoint.yaml of a server that exists, in place of a model file')
    .requiredOption('--spec <file>', 'model.yaml: its features, label, gates, approvals and rollout apply')
    .option(
      '--holdout <path>',
      "rows that the model never saw, all of them held out (default: the holdout of the spec's data)",
    )
    .option('--features <names>', 'features that a matrix input takes, in the order that it was trained with: a,b,c')
    .option('--signature <file>', 'JSON of the model ABI (default: what the spec declares)')
    .action(action(importRelease));
  withExample(
    bring,
    'slipway release import model.onnx --spec model.yaml --wait',
    'slipway release import lightgbm.onnx --spec model.yaml --holdout march.parquet --features age,income,visits',
    'slipway release import --endpoint endpoint.yaml --spec model.yaml --holdout march.parquet --wait',
  );
  withExample(
    release.command('list <model>').description('releases of a model, oldest first').action(action(list)),
    'slipway release list flights/late-arrival',
  );
  withExample(
    release.command('show <model> <version>').description('manifest of one release').action(action(show)),
    'slipway release show flights/late-arrival 2 --json',
  );
}

async function importRelease(session: Session, onnx: string | undefined, options: ImportOptions): Promise<void> {
  const prepared = await prepare(onnx, options);
  prepared.changes.forEach((change) => session.output.note(change));
  const client = await session.client();
  const imported = await client.importModel({
    ...prepared,
    ...(options.holdout === undefined ? {} : { holdout: options.holdout }),
  });
  await startAndReport(
    session,
    options.spec,
    { ...options, cause: options.cause === 'manual' ? 'import' : options.cause },
    { imported },
  );
}

/** Throws USAGE where it is not one of the two, a model file or a server. */
async function prepare(onnx: string | undefined, options: ImportOptions): Promise<PreparedImport> {
  const { endpoint } = options;
  const features = parseNames(options.features);
  if ((onnx === undefined) === (endpoint === undefined) || (endpoint !== undefined && features !== null))
    throw new SlipwayError('USAGE', 'name a model file, or a server by --endpoint (which takes no --features)');
  const signature = options.signature === undefined ? {} : { signature: await readJson(options.signature) };
  const spec = await readSpec(options.spec);
  return endpoint === undefined
    ? prepareImport(onnx!, spec, { ...signature, features })
    : prepareEndpoint(endpoint, spec, signature);
}

async function readJson(file: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new SlipwayError('NOT_FOUND', `${file} cannot be read: ${(error as Error).message}`);
  }
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new SlipwayError('MODEL_SIGNATURE', `${file} is not JSON: ${(error as Error).message}`);
  }
}

async function list(session: Session, model: string): Promise<void> {
  const releases = await listReleases(await session.client(), model);
  const rows = releases.map(({ ref, manifest }) => [
    String(ref.version),
    shortDigest(ref.digest),
    manifest.run,
    manifest.production ? 'yes' : 'no',
    Object.entries(manifest.metrics)
      .map(([name, value]) => `${name} ${formatNumber(value)}`)
      .join(', '),
  ]);
  session.result(releases, formatTable(['VERSION', 'DIGEST', 'RUN', 'PRODUCTION', 'METRICS'], rows));
}

async function show(session: Session, model: string, version: string): Promise<void> {
  const number = Number(version);
  if (!Number.isInteger(number) || number < 1)
    throw new SlipwayError('USAGE', `${version} is no release version; expected 1, 2, …`);
  const { ref, manifest } = await findRelease(await session.client(), model, number);
  session.result({ ref, manifest }, [`${model} release ${number}  ${ref.digest}`, JSON.stringify(manifest, null, 2)]);
}
