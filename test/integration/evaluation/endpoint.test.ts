import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEvaluationActivities } from '../../../activities/evaluation/create-evaluation-activities';
import type { EvaluationPorts } from '../../../activities/evaluation/create-evaluation-activities';
import { createTrainingActivities } from '../../../activities/training/create-training-activities';
import { NO_BINDINGS, type Bindings } from '../../../infra/endpoints/bindings';
import { parseEndpoint } from '../../../infra/endpoints/descriptor';
import { judgeGates } from '../../../workflows/domain/gates';
import type { ReleaseManifest, SampleRows, Signature } from '../../../workflows/domain/release';
import type { EvidenceDocument, ImportedModel, RunRequest, TrainResult } from '../../../workflows/domain/run';
import { type LocalModel, serveLocalModel } from '../../../workers/gateway/local-model';
import { bindTo, ModelServer, sendJson } from '../../support/model-server';
import { LOGISTIC, toyTable } from '../../support/onnx/toy-data';
import { MODEL, toyRun, toySpec, type ToyRun } from '../../support/onnx/toy-run';

const V2 = `
endpoint: toy
protocol: v2
model: local/model
output: score
missing: null
maxRows: 100
timeout: 10s
`;

let folder: string;
let run: ToyRun;
let training: TrainResult;
let signature: Signature;
let remote: LocalModel;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-endpoint-evaluation-'));
  const spec = toySpec({ trainer: { ...LOGISTIC, epochs: 4 } });
  run = await toyRun(folder, spec, { holdout: toyTable(1_500, 3) });
  training = await createTrainingActivities(run).train(run);
  signature = await run.blobs.getJson<Signature>(training.signature);
  remote = await serveLocalModel({ onnxPath: await run.blobs.file(training.onnx), signature, port: 0 });
}, 120_000);
afterAll(async () => {
  await remote.close();
  rmSync(folder, { recursive: true, force: true });
});

async function importOf(text: string): Promise<RunRequest & { imported: ImportedModel }> {
  const onnx = await run.blobs.putJson(parseEndpoint(text, 'endpoint.yaml'));
  return { ...run.request, imported: { kind: 'endpoint', onnx, signature: training.signature } };
}

/** The evaluation of a candidate, where `champion` serves. */
async function evaluate(
  candidate: TrainResult,
  endpoints: Bindings,
  champion: Pick<ReleaseManifest, 'kind' | 'onnx' | 'signature'> | null = null,
) {
  const digest = (champion ?? candidate).onnx;
  const arms = champion ? [{ name: 'champion', weight: 1, release: { model: MODEL, version: 3, digest } }] : [];
  const ports = {
    ...{ store: run.store, blobs: run.blobs, endpoints, workFolder: join(folder, 'work') },
    reader: { newest: () => Promise.resolve({ route: { arms }, digest }) },
    registry: { manifest: () => Promise.resolve(champion as ReleaseManifest) },
  } as unknown as EvaluationPorts;
  const result = await createEvaluationActivities(ports).evaluate({ ...run, training: candidate });
  return {
    evidence: await run.blobs.getJson<EvidenceDocument>(result.evidence),
    samples: await run.blobs.getJson<SampleRows>(result.samples),
  };
}

const bound = (): Bindings => bindTo({ toy: remote.url });

describe('the evaluation of a server that exists', () => {
  it.each(['true', 'false'])(
    'measures what the same model measures as a file, and takes the same samples (binary: %s)',
    async (binary) => {
      const request = await importOf(`${V2}binary: ${binary}\n`);
      const opened = await createTrainingActivities({ ...run, endpoints: bound() }).openImported({ request });
      expect(opened).toEqual({
        ...{ kind: 'endpoint', onnx: request.imported.onnx, signature: training.signature },
        ...{ trainer: 'external endpoint toy (v2)', machineClass: 'external', epochs: 0, resumedFromEpoch: 0 },
      });
      const asServer = await evaluate(opened, bound());
      const asFile = await evaluate(training, NO_BINDINGS);
      expect(asServer.evidence.metrics).toEqual(asFile.evidence.metrics);
      expect(asServer.evidence.onnx).toBe(request.imported.onnx);
      expect(asServer.samples.rows).toEqual(asFile.samples.rows);
      expect(asServer.samples.outputs).toHaveLength(20);
      asServer.samples.outputs.forEach((output, at) => expect(output).toBeCloseTo(asFile.samples.outputs[at]!, 6));
    },
  );

  it('scores a champion that is a server beside a candidate that is a file', async () => {
    const { imported } = await importOf(V2);
    const { evidence } = await evaluate(training, bound(), { kind: 'endpoint', onnx: imported.onnx, signature });
    expect(evidence.metrics.logLoss!.champion).toBe(evidence.metrics.logLoss!.candidate);
    expect(evidence.metrics.logLoss!.champion).toBeLessThan(0.69);
  });

  it('tries a chunk again where the server was busy, and says so where it stays away', async () => {
    let busy = 2;
    const server = await new ModelServer(({ body }, response) => {
      const { instances } = JSON.parse(body.toString()) as { instances: unknown[] };
      if ((busy -= 1) >= 0) return sendJson(response, {}, 503);
      sendJson(response, { predictions: instances.map(() => 0.5) });
    }).start();
    const text = 'endpoint: toy\nprotocol: json\npath: /score\nmaxRows: 1500\nrequest: { missing: null }\n';
    const { imported } = await importOf(text);
    const candidate: TrainResult = { ...training, ...imported };
    const bindings = bindTo({ toy: server.origin });
    const { evidence } = await evaluate(candidate, bindings);
    expect([server.countOf('holdout'), evidence.metrics.auc!.candidate]).toEqual([4, 0.5]);
    await server.stop();
    const other = { ...training, ...(await importOf(`${text}timeout: 2s\n`)).imported };
    await expect(evaluate(other, bindings)).rejects.toMatchObject({ code: 'ENDPOINT_UNAVAILABLE' });
  });

  it.each([
    [
      'is away',
      '9s',
      (): Bindings => bindTo({ toy: 'http://127.0.0.1:9' }),
      'ENDPOINT_UNAVAILABLE, the endpoint toy cannot',
    ],
    ['is not bound', '8s', () => NO_BINDINGS, 'ENDPOINT_NOT_BOUND, no origin is bound to the endpoint toy'],
  ])(
    'measures a candidate although the champion %s, and says why they are not compared',
    async (_, timeout, endpoints, why) => {
      const { imported } = await importOf(V2.replace('10s', timeout));
      const champion = { kind: 'endpoint', onnx: imported.onnx, signature } as const;
      const { evidence } = await evaluate(training, endpoints(), champion);
      expect(evidence.champion).toEqual({ version: 3, digest: imported.onnx });
      expect([evidence.metrics.auc!.champion, evidence.metrics.auc!.candidate]).toEqual([null, expect.any(Number)]);
      expect(evidence.championUnscored).toContain(`Release 3 gave no scores of this holdout: ${why}`);
      const gate = { kind: 'champion', metric: 'auc', margin: 0.01, confidence: 0.95 } as const;
      expect(judgeGates([gate], evidence)).toMatchObject([
        { outcome: 'not-measurable', detail: evidence.championUnscored },
      ]);
      // It is back for the next one.
      const again = await evaluate(training, bound(), champion);
      expect(again.evidence.championUnscored).toBeUndefined();
      expect(again.evidence.metrics.auc!.champion).toEqual(expect.any(Number));
    },
  );

  it('refuses a name that is not bound, a model that the server does not have, and explanations that are promised', async () => {
    const open = (request: RunRequest, endpoints: Bindings) =>
      createTrainingActivities({ ...run, endpoints }).openImported({ request });
    const request = await importOf(V2);
    await expect(open(request, NO_BINDINGS)).rejects.toMatchObject({
      code: 'ENDPOINT_NOT_BOUND',
      message: expect.stringContaining('toy: { origin: https://host:port }') as string,
    });
    await expect(open(await importOf(V2.replace('output: score', 'output: prob')), bound())).rejects.toMatchObject({
      code: 'MODEL_SIGNATURE',
      message: "the server's model has no output prob; it has score",
    });
    await expect(open(await importOf(V2.replace('local/model', 'local/other')), bound())).rejects.toMatchObject({
      code: 'ENDPOINT_ANSWER_INVALID',
      message: 'the endpoint toy answered 404',
    });
    const { serving } = run.spec;
    const spec = { ...run.spec, serving: { ...serving, explain: { ...serving.explain, when: 'always' } } };
    await expect(open({ ...request, spec: await run.blobs.putJson(spec) }, bound())).rejects.toMatchObject({
      code: 'SPEC_INVALID',
    });
  });
});
