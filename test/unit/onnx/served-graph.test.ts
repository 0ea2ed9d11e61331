import fc from 'fast-check';
import { Tensor } from 'onnxruntime-node';
import { addDatePart, datePartOf } from '../../../infra/onnx/date-parts';
import { fitModel } from '../../../infra/onnx/fit-model';
import { featuriseGraph, featurisedWidths } from '../../../infra/onnx/featurise-graph';
import { tensorsOf } from '../../../infra/onnx/feature-tensors';
import { GraphBuilder } from '../../../infra/onnx/graph-builder';
import { initialParameters, type NetworkShape } from '../../../infra/onnx/network';
import { streamOf } from '../../../infra/onnx/random';
import { scoreRows, scoreTable } from '../../../infra/onnx/score-table';
import { servedGraph } from '../../../infra/onnx/served-graph';
import { openSession } from '../../../infra/onnx/session';
import { forwardGraph } from '../../../infra/onnx/training-graph';
import { fitTransforms } from '../../../infra/onnx/transforms';
import { DATE_PARTS } from '../../../workflows/domain/spec';
import { measure } from '../../../workflows/domain/statistics/metrics';
import { LOGISTIC, MLP, toyFit, toyTable } from '../../support/onnx/toy-data';

const row = { amount: 103, count: 4_000, city: 'dub', member: true, at: Date.UTC(2001, 0, 9, 6) };

describe('the served graph', () => {
  it.each(['binary', 'regression'] as const)(
    'I9: gives what the training graph gives on the same rows (%s)',
    async (task) => {
      const { signature, train } = toyFit(MLP, task);
      const plan = fitTransforms(signature.inputs, train.table, { cyclicHours: true });
      const shape: NetworkShape = { task, ...featurisedWidths(plan), hidden: [16, 8], embedding: 4 };
      const theta = initialParameters(shape, 0.3, streamOf(5)).map((value, index) => value + Math.sin(index) / 5);
      const target = task === 'binary' ? { mean: 0, deviation: 1 } : { mean: 500, deviation: 40 };
      const served = await openSession(servedGraph({ signature, plan, shape, theta, target }));
      const featurise = await openSession(featuriseGraph(plan));
      const forward = await openSession(forwardGraph(shape));
      const { dense, ids } = await featurise.run(tensorsOf(train.table, signature.inputs, 0, 400));
      const { z } = await forward.run({
        theta: new Tensor('float32', theta, [theta.length]),
        dense: dense!,
        ids: ids!,
      });
      const scores = await scoreTable(served, signature, { rows: 400, columns: train.table.columns });
      const expected = [...(z!.data as Float32Array)].map((value) =>
        task === 'binary' ? 1 / (1 + Math.exp(-value)) : 500 + 40 * value,
      );
      for (const [index, value] of expected.entries())
        expect(scores[index]).toBeCloseTo(value, task === 'binary' ? 5 : 2);
    },
  );

  it.each(['v0', 'c1', 'v0_'])(
    'takes a feature that is called as the graph calls a value of its own: %s',
    async (name) => {
      const { inputs } = toyFit(LOGISTIC).signature;
      const renamed = inputs.map((input) => (input.name === 'amount' ? { ...input, name } : input));
      const { columns } = toyTable(200, 1).table;
      const plan = fitTransforms(
        renamed,
        { rows: 200, columns: { ...columns, [name]: columns['amount']! } },
        {
          cyclicHours: true,
        },
      );
      await expect(openSession(featuriseGraph(plan))).resolves.toBeDefined();
    },
  );

  it('answers unknown categories, unseen months and missing values with finite scores near the average', async () => {
    for (const trainer of [LOGISTIC, MLP]) {
      const input = toyFit(trainer);
      const session = await openSession((await fitModel(input)).onnx);
      const rows = [
        row,
        { ...row, city: 'xxx' },
        { ...row, amount: null },
        { ...row, count: null, at: null },
        { ...row, city: '' },
        { ...row, at: Date.UTC(2001, 6, 3, 6) },
      ];
      const scores = await scoreRows(session, input.signature, rows);
      for (const score of scores) expect(score > 0.02 && score < 0.999).toBe(true);
      const cities = await scoreRows(
        session,
        input.signature,
        ['ams', 'dub', 'xxx'].map((city) => ({ ...row, city })),
      );
      expect(cities[2]!).toBeGreaterThan(cities[0]!);
      expect(cities[2]!).toBeLessThan(cities[1]!);
    }
  });

  it('learns the signal: better than chance and than the mean on rows it has not seen', async () => {
    for (const trainer of [LOGISTIC, MLP]) {
      const input = toyFit(trainer);
      const holdout = toyTable(1_000, 3);
      const scores = await scoreTable(await openSession((await fitModel(input)).onnx), input.signature, holdout.table);
      expect(measure('auc', scores, holdout.labels)).toBeGreaterThan(0.75);
    }
    const input = toyFit({ ...MLP, epochs: 10 }, 'regression');
    const holdout = toyTable(1_000, 3, 'regression');
    const scores = await scoreTable(await openSession((await fitModel(input)).onnx), input.signature, holdout.table);
    expect(measure('r2', scores, holdout.labels)).toBeGreaterThan(0.6);
  });

  it('computes the same date parts as the calendar, before 1970 and in leap years too', async () => {
    const builder = new GraphBuilder();
    const at = builder.input('at', 'int64', ['N', 1]);
    for (const part of DATE_PARTS) builder.output(addDatePart(builder, at, part), 'int64', ['N', 1], part);
    const session = await openSession(builder.modelBytes('parts'));
    const instants = fc.sample(fc.integer({ min: Date.UTC(1890, 0, 1), max: Date.UTC(2110, 0, 1) }), {
      numRuns: 3_000,
      seed: 4,
    });
    instants.push(
      -1,
      0,
      Date.UTC(2000, 1, 29, 23, 59, 59, 999),
      Date.UTC(2000, 2, 1),
      Date.UTC(1969, 11, 31, 23),
      Date.UTC(1900, 1, 28),
    );
    const out = await session.run({
      at: new Tensor('int64', BigInt64Array.from(instants, BigInt), [instants.length, 1]),
    });
    for (const part of DATE_PARTS) {
      expect([...(out[part]!.data as BigInt64Array)].map(Number)).toEqual(
        instants.map((instant) => datePartOf(instant, part)),
      );
    }
  });
});

describe('fitting', () => {
  it('I8: gives the same model bytes for the same rows, decisions and seed, and others for another seed', async () => {
    for (const trainer of [LOGISTIC, MLP]) {
      const first = await fitModel(toyFit(trainer));
      const second = await fitModel(toyFit(trainer));
      const other = await fitModel({ ...toyFit(trainer), seed: 8 });
      expect(Buffer.compare(first.onnx, second.onnx)).toBe(0);
      expect(Buffer.compare(first.onnx, other.onnx)).not.toBe(0);
    }
  });

  it('stops when the validation loss no longer falls, and keeps the best epoch', async () => {
    const losses: number[] = [];
    const trainer = { ...MLP, hidden: [64], epochs: 60, learningRate: 0.03, patience: 3 };
    const result = await fitModel({
      ...toyFit(trainer, 'binary', 300),
      onEpoch: (_, { validation }) => losses.push(validation),
    });
    expect(result.epochs).toBe(losses.length);
    expect(result.epochs).toBeLessThan(60);
    expect(result.epochs - result.bestEpoch).toBe(3);
    expect(result.validationLoss).toBe(Math.min(...losses));
  });

  it('says so when the loss diverges', async () => {
    await expect(fitModel(toyFit({ ...MLP, learningRate: 1e30 }))).rejects.toMatchObject({ code: 'TRAINING_FAILED' });
  });

  it('works with one kind of input only: numbers alone, categories alone', async () => {
    const input = toyFit(MLP);
    for (const names of [['amount'], ['city'], ['member']]) {
      const signature = {
        ...input.signature,
        inputs: input.signature.inputs.filter(({ name }) => names.includes(name)),
      };
      const { onnx } = await fitModel({ ...input, signature });
      const scores = await scoreTable(await openSession(onnx), signature, input.validation.table);
      expect(scores.every((score) => score > 0 && score < 1)).toBe(true);
    }
  });
});
