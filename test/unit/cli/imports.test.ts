import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { importModel, prepareImport } from '../../../client/imports';
import { createBlobStore } from '../../../infra/object-store/blobs';
import { createFsStore } from '../../../infra/object-store/fs-store';
import { GraphBuilder } from '../../../infra/onnx/graph-builder';
import { parseSpec } from '../../../infra/spec/parse';
import { templateSpec } from '../../../infra/spec/template';
import type { Signature } from '../../../workflows/domain/release';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-imports-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const spec = parseSpec(templateSpec({ model: 'a/b', task: 'binary', source: 'rows.parquet' }), { file: 'model.yaml' });

function writeMatrixModel(width: number): string {
  const builder = new GraphBuilder();
  builder.input('X', 'float', ['N', width]);
  const sum = builder.op('ReduceSum', ['X', builder.int64s([1])], { keepdims: 1 });
  builder.output(builder.op('Sigmoid', [sum]), 'float', ['N', 1], 'variable');
  const path = join(folder, 'model.onnx');
  writeFileSync(path, builder.modelBytes('sum'));
  return path;
}

describe('a model that is imported', () => {
  it('takes the chosen features of the spec, with their units and ranges, as its ABI', async () => {
    const prepared = await prepareImport(writeMatrixModel(1), spec, { features: ['amount'] });
    const signature = prepared.signature as Signature;
    expect(signature.inputs).toMatchObject([{ name: 'amount', unit: 'EUR', range: [0, 100_000] }]);
    expect(prepared.changes).toContain('matrix X is made of amount, in this order');
  });

  it('is refused here already where it cannot take what the spec has', async () => {
    await expect(prepareImport(writeMatrixModel(2), spec, {})).rejects.toMatchObject({
      code: 'MODEL_SIGNATURE',
      message: expect.stringContaining('there are 3 features (amount, country, local_time)') as string,
    });
    await expect(prepareImport(writeMatrixModel(1), spec, { features: ['amuont'] })).rejects.toMatchObject({
      code: 'MODEL_SIGNATURE',
      message: 'amuont is no feature of the spec; it has amount, country, local_time',
    });
  });

  it('brings a holdout by its absolute path, whose ending says its format', async () => {
    const blobs = createBlobStore(createFsStore(join(folder, 'store')), join(folder, 'cache'));
    const given = { onnx: Buffer.from('model'), spec };
    const { holdout } = await importModel(blobs, { ...given, holdout: join(folder, 'march.csv') });
    expect(holdout).toEqual({ source: join(folder, 'march.csv'), format: 'csv' });
    expect((await importModel(blobs, given)).holdout).toBeUndefined();
    await expect(importModel(blobs, { ...given, holdout: 'rows.xlsx' })).rejects.toMatchObject({ code: 'USAGE' });
  });
});
