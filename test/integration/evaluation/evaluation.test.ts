import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEvaluationActivities } from '../../../activities/evaluation/create-evaluation-activities';
import type { EvaluationPorts } from '../../../activities/evaluation/create-evaluation-activities';
import { createTrainingActivities } from '../../../activities/training/create-training-activities';
import { digestOfJson } from '../../../infra/object-store/digest';
import type { AuditRecord } from '../../../infra/audit/port';
import { GraphBuilder } from '../../../infra/onnx/graph-builder';
import { scoreRows } from '../../../infra/onnx/score-table';
import { openSession } from '../../../infra/onnx/session';
import type { ReleaseManifest, SampleRows, Signature } from '../../../workflows/domain/release';
import type { EvidenceDocument, TrainResult } from '../../../workflows/domain/run';
import type { GateSpec } from '../../../workflows/domain/spec';
import { signatureOf } from '../../../workflows/domain/signature';
import { LOGISTIC, toyTable } from '../../support/onnx/toy-data';
import { MODEL, toyRun, toySpec, type ToyRun } from '../../support/onnx/toy-run';

const gates: GateSpec[] = [
  { kind: 'threshold', metric: 'auc', min: 0.7, max: null },
  { kind: 'baseline', metric: 'logLoss', by: 0.05 },
  { kind: 'champion', metric: 'logLoss', margin: 0.02, confidence: 0.95 },
  { kind: 'compatible' },
];
const releaseDigest = (release: unknown) => digestOfJson({ release });

let folder: string;
let run: ToyRun;
let training: TrainResult;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-evaluation-'));
  run = await toyRun(
    folder,
    { ...toySpec({ trainer: { ...LOGISTIC, epochs: 8 } }), gates },
    { holdout: toyTable(1_440 * 6, 3) },
  );
  training = await createTrainingActivities(run).train(run);
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Activities where `champion` serves (null: nothing does). */
function activities(champion: { onnx: TrainResult['onnx']; signature: Signature } | null) {
  const audited: AuditRecord[] = [];
  const digest = releaseDigest(champion);
  const route = {
    arms: champion ? [{ name: 'champion', weight: 1, release: { model: MODEL, version: 3, digest } }] : [],
  };
  const ports = {
    store: run.store,
    blobs: run.blobs,
    workFolder: join(folder, 'work'),
    audit: { append: (_: string, record: AuditRecord) => Promise.resolve({ sequence: audited.push(record), digest }) },
    reader: { newest: () => Promise.resolve(champion ? { route, digest } : null) },
    registry: { manifest: () => Promise.resolve(champion as unknown as ReleaseManifest) },
  } as unknown as EvaluationPorts;
  return { ...createEvaluationActivities(ports), audited };
}

const evidenceOf = (evidence: TrainResult['onnx']) => run.blobs.getJson<EvidenceDocument>(evidence);
const signature = () => run.blobs.getJson<Signature>(training.signature);

describe('evaluation', () => {
  it('measures candidate and training mean on the holdout, day by day, and passes a first release', async () => {
    const stage = activities(null);
    const evaluation = await stage.evaluate({ ...run, training });
    const judged = await stage.judgeGates({ request: run.request, evaluation });
    const evidence = await evidenceOf(judged.evidence);
    expect(evidence).toMatchObject({ rows: 8_640, days: 6, champion: null, compatibility: [], onnx: training.onnx });
    expect(evidence.metrics.auc).toMatchObject({ baseline: 0.5, champion: null, advantageLowerBound: null });
    expect(evidence.metrics.auc!.candidate).toBeGreaterThan(0.75);
    expect(evaluation.metrics['auc']).toBe(evidence.metrics.auc!.candidate);
    expect(judged.gates.map(({ outcome }) => outcome)).toEqual(['pass', 'pass', 'pass', 'pass']);
    expect(judged.passed).toBe(true);
    expect(evidence.gates).toEqual(judged.gates);
    expect(stage.audited).toMatchObject([
      { kind: 'gates.judged', evidence: [judged.evidence], data: { passed: true } },
    ]);
    expect(readdirSync(join(folder, 'work'))).toEqual([]);
  });

  it('gives sample rows whose outputs the model repeats', async () => {
    const { samples } = await activities(null).evaluate({ ...run, training });
    const { rows, outputs } = await run.blobs.getJson<SampleRows>(samples);
    const scores = await scoreRows(await openSession(await run.blobs.get(training.onnx)), await signature(), rows);
    expect(rows).toHaveLength(20);
    for (const [index, output] of outputs.entries()) expect(scores[index]).toBeCloseTo(output, 6);
  });

  it('compares with the champion on the same rows: the same model passes, a much better champion does not let a worse one pass', async () => {
    const same = activities({ onnx: training.onnx, signature: await signature() });
    const evaluation = await same.evaluate({ ...run, training });
    const evidence = await evidenceOf(evaluation.evidence);
    expect(evidence.champion).toEqual({
      version: 3,
      digest: releaseDigest({ onnx: training.onnx, signature: await signature() }),
    });
    expect(evidence.metrics.logLoss).toMatchObject({ advantageLowerBound: 0 });
    expect((await same.judgeGates({ request: run.request, evaluation })).passed).toBe(true);

    const worse = await run.blobs.put(constantModel(0.5));
    const stage = activities({ onnx: training.onnx, signature: await signature() });
    const judged = await stage.judgeGates({
      request: run.request,
      evaluation: await stage.evaluate({ ...run, training: { ...training, onnx: worse } }),
    });
    expect(judged.gates.map(({ outcome }) => outcome)).toEqual(['fail', 'fail', 'fail', 'pass']);
    expect(stage.audited[0]!.summary).toContain('champion logLoss');
  });

  it('does not score a champion on columns that mean something else, and then does not pass', async () => {
    const old = await signature();
    const inKilometres = {
      ...old,
      inputs: old.inputs.map((input) => (input.name === 'amount' ? { ...input, unit: 'km' } : input)),
    };
    const stage = activities({ onnx: training.onnx, signature: inKilometres });
    const judged = await stage.judgeGates({
      request: run.request,
      evaluation: await stage.evaluate({ ...run, training }),
    });
    expect(judged.gates.map(({ outcome }) => outcome)).toEqual(['pass', 'pass', 'not-measurable', 'fail']);
    expect(judged.gates[2]!.detail).toContain('it takes amount in km, the spec has it in no unit');
    expect(judged.gates[3]!.detail).toContain('amount changed its unit from km to none');
  });

  it('measures nothing from scores that are no probabilities', async () => {
    const stage = activities(null);
    const evaluation = await stage.evaluate({
      ...run,
      training: { ...training, onnx: await run.blobs.put(constantModel(1.5)) },
    });
    const judged = await stage.judgeGates({ request: run.request, evaluation });
    expect(evaluation.metrics).toEqual({});
    expect(judged.gates[0]).toMatchObject({
      outcome: 'not-measurable',
      detail: '8640 of 8640 holdout rows get a score that is no probability.',
    });
  });

  it('fits a map from scores to probabilities on the validation split, and measures it on the holdout', async () => {
    const onnx = await run.blobs.put(constantModel(0.3));
    const evaluation = await activities(null).evaluate({ ...run, training: { ...training, onnx } });
    const evidence = await evidenceOf(evaluation.evidence);
    const { map, rows, holdout } = evidence.calibration!;
    expect(map).toMatchObject({ method: 'platt', rows: 500, split: 'validation' });
    expect(rows).toBe(500);
    expect(holdout!.logLossRaw).toBe(evidence.metrics.logLoss!.candidate);
    expect(holdout!.calibrationErrorRaw).toBe(evidence.metrics.calibrationError!.candidate);
    // About every other label is 1, where the model says 0.3.
    expect(holdout!.logLossRaw).toBeGreaterThan(0.75);
    expect(holdout!.logLossCalibrated).toBeLessThan(0.71);
    expect(holdout!.calibrationErrorCalibrated).toBeLessThan(0.1);
  });

  it('does not pass where every answer is to be calibrated, and there are no rows to fit a map on', async () => {
    const always = { ...run.spec, serving: { ...run.spec.serving, calibration: 'always' as const } };
    const judged = async (from: ToyRun) => {
      const request = { ...from.request, spec: await from.blobs.putJson(always) };
      const onnx = await from.blobs.put(constantModel(0.3));
      const candidate = { ...training, onnx };
      const evaluation = await activities(null).evaluate({ request, ingest: from.ingest, training: candidate });
      return (await activities(null).judgeGates({ request, evaluation })).gates.at(-1);
    };
    expect(await judged(run)).toMatchObject({ gate: 'calibrated', outcome: 'pass' });
    const { store, holdout } = run;
    // As of an import with a holdout of its own.
    const unvalidated = await toyRun(join(folder, 'unvalidated'), run.spec, { store, holdout, validationRows: 0 });
    expect(await judged(unvalidated)).toMatchObject({
      outcome: 'fail',
      detail: expect.stringContaining('the validation split has no rows') as string,
    });
  });

  it('keeps its result by what went into it', async () => {
    const first = await activities(null).evaluate({ ...run, training });
    const blobs = { ...run.blobs, file: () => Promise.reject(new Error('must not be read')) };
    const before = run.blobs;
    run = { ...run, blobs };
    try {
      expect(await activities(null).evaluate({ ...run, training })).toEqual(first);
    } finally {
      run = { ...run, blobs: before };
    }
  });
});

describe('a model that was trained elsewhere', () => {
  it('is opened under limits and must fit signature and spec', async () => {
    const stage = createTrainingActivities(run);
    const fits = { ...run.request, imported: { onnx: training.onnx, signature: training.signature } };
    await expect(stage.openImported({ request: fits })).resolves.toMatchObject({
      onnx: training.onnx,
      trainer: 'imported slipway',
      epochs: 0,
    });
    const other = await run.blobs.putJson({
      ...(await signature()),
      inputs: [{ ...(await signature()).inputs[0]!, name: 'unheard' }],
    });
    await expect(
      stage.openImported({ request: { ...fits, imported: { onnx: training.onnx, signature: other } } }),
    ).rejects.toMatchObject({
      code: 'MODEL_SIGNATURE',
      message: expect.stringContaining('unheard is no feature') as string,
    });
    const bytes = Uint8Array.from(await run.blobs.get(training.onnx)).slice(0, 900);
    const broken = await run.blobs.put(bytes);
    await expect(
      stage.openImported({ request: { ...fits, imported: { onnx: broken, signature: training.signature } } }),
    ).rejects.toMatchObject({ code: 'MODEL_UNREADABLE' });
  });
});

/** Takes the toy inputs and answers the same number to each row. */
function constantModel(value: number): Uint8Array {
  const builder = new GraphBuilder();
  const elements = { FP32: 'float', INT64: 'int64', BYTES: 'string', BOOL: 'bool' } as const;
  const { inputs } = signatureOf(toySpec());
  for (const { name, datatype } of inputs) builder.input(name, elements[datatype], ['N', 1]);
  const shape = builder.op('Shape', ['amount']);
  builder.output(builder.op('Expand', [builder.floats([value], [1, 1]), shape]), 'float', ['N', 1], 'score');
  return builder.modelBytes('constant');
}
