import fc from 'fast-check';
import { decodeCheckpoint, encodeCheckpoint, type TrainerState } from '../../../infra/onnx/trainer-state';

const vector = fc.float32Array({ minLength: 1, maxLength: 9 });
const states: fc.Arbitrary<TrainerState> = fc.record({
  epoch: fc.nat(),
  theta: vector,
  m: vector,
  v: vector,
  powers: vector,
  best: fc.record({
    epoch: fc.nat(),
    loss: fc.double({ noNaN: true, noDefaultInfinity: true, min: 0 }),
    theta: vector,
  }),
});

describe('a checkpoint', () => {
  it('comes back bit for bit, from any alignment of the buffer', () => {
    fc.assert(
      fc.property(states, fc.nat(3), (state, shift) => {
        const bytes = encodeCheckpoint(state, 'who');
        const moved = Buffer.alloc(bytes.length + shift)
          .fill(bytes, shift)
          .subarray(shift);
        moved.set(bytes);
        expect(decodeCheckpoint(moved, 'who')).toEqual(state);
      }),
    );
  });

  it('of another identity, cut short, or not one at all, is no checkpoint', () => {
    fc.assert(
      fc.property(states, fc.double({ min: 0, max: 0.999, noNaN: true }), (state, part) => {
        const bytes = encodeCheckpoint(state, 'who');
        expect(decodeCheckpoint(bytes, 'else')).toBeNull();
        expect(decodeCheckpoint(bytes.subarray(0, Math.floor(bytes.length * part)), 'who')).toBeNull();
      }),
    );
    expect(decodeCheckpoint(Buffer.from('{}\nxx'), 'who')).toBeNull();
  });
});
