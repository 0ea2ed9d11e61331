import { openSession } from '../../../infra/onnx/session';
import { directScores } from './answers';
import { DISTANCE_SIGNATURE } from './workload';
import { scoreRows } from '../../../infra/onnx/score-table';

const TRIAL_ROUNDS = 20;
const REPEATS = 5;

export interface CalibratedModel {
  readonly onnx: Uint8Array;
  /** Of one row, by direct inference in one thread: the quickest of some. */
  readonly tookMs: number;
}

/** Builds a model with as many rounds of work as one row takes `targetMs` for on this machine, now. */
export async function calibrateModel(
  build: (rounds: number) => Uint8Array,
  targetMs: number,
): Promise<CalibratedModel> {
  const base = await quickestMs(build(1));
  const roundMs = ((await quickestMs(build(1 + TRIAL_ROUNDS))) - base) / TRIAL_ROUNDS;
  const onnx = build(Math.max(1, 1 + Math.round((targetMs - base) / roundMs)));
  const [score] = await directScores(onnx, DISTANCE_SIGNATURE, [[3]]);
  if (score !== 3) throw new Error(`the calibrated model scores ${score} where it should score 3`);
  return { onnx, tookMs: await quickestMs(onnx) };
}

async function quickestMs(model: Uint8Array): Promise<number> {
  const session = await openSession(model);
  const tookMs: number[] = [];
  for (let repeat = 0; repeat < REPEATS; repeat += 1) {
    const startedMs = performance.now();
    await scoreRows(session, DISTANCE_SIGNATURE, [{ distance: 3 }]);
    tookMs.push(performance.now() - startedMs);
  }
  await session.release();
  return Math.min(...tookMs);
}
