import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tensor } from 'onnxruntime-node';
import * as packing from '../../../infra/onnx/pack-inputs';
import { openSession } from '../../../infra/onnx/session';
import { openPacked, packedFeed } from '../../../workers/gateway/execution/packed-session';
import type { SessionInputs } from '../../../workers/gateway/execution/executor-messages';
import { temporaryFolder } from '../../support/temporary-folder';
import { inputSignature, linearModel } from './models';

jest.mock<typeof packing>('../../../infra/onnx/pack-inputs', () => {
  const actual = jest.requireActual<typeof packing>('../../../infra/onnx/pack-inputs');
  return { ...actual, packInputs: jest.fn(actual.packInputs) };
});

const folder = temporaryFolder('packed');
afterAll(() => folder.remove());

const INPUTS = [
  inputSignature('whole', { type: 'integer', datatype: 'INT64' }),
  ...['distance', 'a', 'b', 'c'].map((name) => inputSignature(name)),
];

async function open(inputs = INPUTS) {
  const { onnx } = linearModel(3, 1, inputs);
  const path = join(folder.path, 'model.onnx');
  writeFileSync(path, onnx);
  const about: SessionInputs = { inputs, output: 'score' };
  return openPacked(path, await openSession(onnx), about, {});
}

describe('a session whose float inputs are one', () => {
  it('is opened where there are some of them, and takes the others as they are', async () => {
    const packed = (await open())!;
    const whole = new Tensor('int64', BigInt64Array.from([5n, 6n]), [2, 1]);
    const floats = Float32Array.from([10, 20, 0, 0, 1, 1, 2, 2]);
    const { score } = await packed.run({ whole, ...packedFeed(floats) }, ['score']);
    expect([...(score!.data as Float32Array)]).toEqual([31, 61]);
    expect(await open(INPUTS.slice(0, 4))).toBeNull();
  });

  it('is not opened where it gives one bit else than the model as it is, or does not open', async () => {
    const other = linearModel(3, 1.0000001, INPUTS).onnx;
    const names = ['distance', 'a', 'b', 'c'];
    const { packInputs } = jest.requireActual<typeof packing>('../../../infra/onnx/pack-inputs');
    jest.mocked(packing.packInputs).mockReturnValueOnce(packInputs(other, names));
    expect(await open()).toBeNull();
    jest.mocked(packing.packInputs).mockReturnValueOnce(Uint8Array.of(1, 2, 3));
    expect(await open()).toBeNull();
  });
});
