import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { directScores } from '../../bench/gateway/answers';
import { adaptedModel } from '../../bench/gateway/gateway-process';
import { Rounds, type Measured } from '../../bench/gateway/measure';
import {
  batchCostModel,
  DISTANCE_SIGNATURE,
  featureModel,
  matrixModel,
  rowCostModel,
  rowsOfWidth,
  signatureOfWidth,
} from '../../bench/gateway/workload';

describe('the models of the bench', () => {
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'slipway-workload-'))));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('give the same scores from one matrix as from one input for each feature', async () => {
    const signature = signatureOfWidth(5);
    const rows = rowsOfWidth(5, 10);
    const file = join(folder, 'matrix.onnx');
    writeFileSync(file, matrixModel(5, 1));
    const adapted = await adaptedModel(file, signature, folder);
    const scores = await directScores(adapted.onnx, signature, rows);
    expect([...scores]).toEqual([...(await directScores(featureModel(5, 1), signature, rows))]);
    expect([...scores]).not.toEqual([...(await directScores(featureModel(5, 2), signature, rows))]);
    // Rows that all score alike would hide answers that were mixed up.
    expect(new Set(scores).size).toBe(rows.length);
    expect(scores.every((score) => score > 0 && score < 1)).toBe(true);
  });

  it.each([
    ['for each batch', batchCostModel],
    ['for each row', rowCostModel],
  ])('that cost time %s answer with what they were asked', async (_, build) => {
    const scores = await directScores(build(3, 16), DISTANCE_SIGNATURE, [[1], [2.5], [1_000]]);
    expect([...scores]).toEqual([1, 2.5, 1_000]);
  });
});

describe('the rounds of contenders', () => {
  const measured = (cpuUs: number): Measured => ({
    cpuUs,
    perSecond: 1,
    requests: 1,
    seconds: 1,
    p50Us: 1,
    p99Us: 1,
    maxUs: 1,
    badStatus: 0,
    broken: 0,
  });

  it('are compared round by round, and not where one has none', () => {
    const rounds = new Rounds();
    for (const [ours, echo] of [
      [10, 10],
      [40, 20],
      [30, 10],
    ] as const) {
      rounds.add('ours', measured(ours));
      rounds.add('echo', measured(echo));
    }
    expect(rounds.spread('ours', 'cpuUs')).toEqual({ median: 30, min: 10, max: 40 });
    expect(rounds.ratio('ours', 'echo', 'cpuUs')).toEqual({ median: 2, min: 1, max: 3 });
    expect(rounds.has('other')).toBe(false);
    expect(() => rounds.ratio('ours', 'other', 'cpuUs')).toThrow(RangeError);
  });
});
