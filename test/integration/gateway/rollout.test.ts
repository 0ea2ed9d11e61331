import { DuckDBInstance } from '@duckdb/node-api';
import { keys } from '../../../workflows/domain/keys';
import type { BreakerEvent, ObservationDocument } from '../../../workflows/domain/observation';
import { assignArm } from '../../../workflows/domain/route';
import type { Gateway } from '../../../workers/gateway/gateway';
import { GatewayFixture, inferBody, MODEL, post, ready, until } from './fixture';
import { DISTANCE, failingModel, inputSignature, linearModel } from './models';

let fixture: GatewayFixture;
beforeEach(() => (fixture = new GatewayFixture()));
afterEach(() => fixture.dispose());

async function observation(generation: number, gateway: Gateway): Promise<ObservationDocument> {
  const bytes = await fixture.store.get(keys.observation(MODEL, generation, gateway.incarnation));
  return JSON.parse(Buffer.from(bytes!).toString()) as ObservationDocument;
}

async function loggedRows(where: string): Promise<Record<string, unknown>[]> {
  const connection = await (await DuckDBInstance.create(':memory:')).connect();
  const files = `${fixture.storeRoot}/predictions/${MODEL}/*/*.parquet`;
  const columns = '*, "x.distance" AS distance, epoch_ms(event_time) AS ms';
  const from = `read_parquet('${files}', hive_partitioning = true, union_by_name = true)`;
  const read = await connection.runAndReadAll(`SELECT ${columns} FROM ${from} WHERE ${where} ORDER BY request_id`);
  return read.getRowObjectsJson();
}

describe('a gateway with a canary', () => {
  it('keeps each caller on the arm of their key and counts keys, windows and pairs', async () => {
    const champion = await fixture.release(linearModel(2, 0));
    const challenger = await fixture.release(linearModel(2, 0.5));
    const salt = 'salt';
    await fixture.route(
      champion,
      { release: challenger, weight: 0.5 },
      { paired: true, clock: 'event', assignment: { source: 'header', name: 'X-User' }, salt },
    );
    const gateway = await fixture.start();
    await ready(gateway);
    const route = {
      salt,
      arms: [
        { name: 'champion', weight: 0.5 },
        { name: 'challenger', weight: 0.5 },
      ],
    } as never;
    const users = Array.from({ length: 20 }, (_, user) => `user-${user}`);
    const onChallenger = users.filter((user) => assignArm(route, user).name === 'challenger').length;
    const start = Date.parse('2001-03-01T00:00:00Z');
    for (let round = 0; round < 3; round += 1) {
      for (const [index, user] of users.entries()) {
        const body = inferBody([1], {
          id: `${user}-${round}`,
          parameters: { event_time: start + round * 86_400_000 + index },
        });
        const answer = await post(gateway.url, body, { 'x-user': user });
        const arm = assignArm(route, user).name;
        expect([user, answer.body.parameters.arm, answer.body.outputs[0]!.data[0]]).toEqual([
          user,
          arm,
          arm === 'challenger' ? 2.5 : 2,
        ]);
      }
    }
    await fixture.stop(gateway);
    const counted = await observation(1, gateway);
    expect(counted.arms.champion).toMatchObject({
      requests: 3 * (20 - onChallenger),
      errors: 0,
      keys: 20 - onChallenger,
      errorKeys: 0,
    });
    expect(counted.arms.challenger).toMatchObject({
      requests: 3 * onChallenger,
      errors: 0,
      keys: onChallenger,
      errorKeys: 0,
    });
    expect(counted.paired).toEqual({ keys: 20, sumAbsDifference: 10, sumSquaredDifference: 5 });
    expect(counted.watermarkMs).toBe(start + 2 * 86_400_000 + 19);
    expect(counted.windows.map(({ startMs }) => startMs).every((ms) => ms % 10_000 === 0)).toBe(true);
    expect(counted.windows.reduce((sum, { requests }) => sum + requests, 0)).toBe(60);
  });

  it("logs every scored row as Parquet by event day, with inputs and the other arm's score", async () => {
    const inputs = [DISTANCE, inputSignature('origin', { type: 'category', nullable: true })];
    const champion = await fixture.release(linearModel(2, 0, inputs));
    const challenger = await fixture.release(linearModel(2, 0.5, inputs));
    await fixture.route(champion, { release: challenger, weight: 0.5 }, { paired: true, clock: 'event' });
    const gateway = await fixture.start();
    await ready(gateway);
    for (let index = 0; index < 10; index += 1) {
      const body = JSON.stringify({
        id: `row-${index}`,
        parameters: { event_time: Date.parse('2001-03-01T12:00:00Z') + (index % 2) * 86_400_000 },
        inputs: [
          { name: 'origin', datatype: 'BYTES', shape: [1], data: [index === 3 ? null : 'SEA'] },
          { name: 'distance', datatype: 'FP32', shape: [1], data: [index] },
        ],
      });
      expect((await post(gateway.url, body)).status).toBe(200);
    }
    await fixture.stop(gateway);
    const rows = await loggedRows('true');
    expect(rows).toHaveLength(10);
    expect(new Set(rows.map((row) => row.dt))).toEqual(new Set(['2001-03-01', '2001-03-02']));
    for (const [index, row] of rows.entries()) {
      const isChallenger = row.arm === 'challenger';
      expect(row).toMatchObject({
        request_id: `row-${index}`,
        generation: 1,
        release: isChallenger ? 2 : 1,
        assignment_key: `row-${index}`,
        status: 'ok',
      });
      expect(row).toMatchObject({
        score: 2 * index + (isChallenger ? 0.5 : 0),
        paired_release: isChallenger ? 1 : 2,
        paired_score: 2 * index + (isChallenger ? 0 : 0.5),
      });
      expect(row).toMatchObject({ distance: index, 'x.origin': index === 3 ? null : 'SEA' });
    }
  });

  it('answers by the champion where the challenger fails, charges the challenger, and trips the breaker for that generation', async () => {
    const champion = await fixture.release(linearModel(2, 0));
    const challenger = await fixture.release(failingModel(100, 7));
    await fixture.route(champion, { release: challenger, weight: 0.5 });
    const gateway = await fixture.start();
    await ready(gateway);
    const answers = [];
    for (let index = 0; index < 60; index += 1)
      answers.push(await post(gateway.url, inferBody([200], { id: `r${index}` })));
    expect(answers.map(({ status, body }) => [status, body.parameters.arm, body.outputs[0]!.data[0]])).toEqual(
      answers.map(() => [200, 'champion', 400]),
    );
    await until(
      async () => (await fixture.store.list(keys.breakerEvents(MODEL, 1))).length === 1,
      'the breaker event is in the store',
    );
    const event = JSON.parse(
      Buffer.from((await fixture.store.get(keys.breakerEvent(MODEL, 1, gateway.incarnation)))!).toString(),
    ) as BreakerEvent;
    expect(event).toMatchObject({ schema: 'slipway.breaker/1', generation: 1, requests: 8, errors: 8 });
    await fixture.stop(gateway);
    const counted = await observation(1, gateway);
    expect(counted.arms.challenger).toMatchObject({ requests: 8, errors: 8, keys: 8, errorKeys: 8 });
    const again = await fixture.start();
    await ready(again);
    const healthy = await Promise.all(
      Array.from({ length: 20 }, (_, index) => post(again.url, inferBody([1], { id: `s${index}` }))),
    );
    expect(new Set(healthy.map(({ body }) => body.parameters.arm))).toEqual(new Set(['champion']));
  });

  it('charges the challenger for refusing what the champion accepts, and no arm for what both refuse', async () => {
    const champion = await fixture.release(linearModel(2, 0));
    const challenger = await fixture.release(
      linearModel(2, 1, [DISTANCE, inputSignature('hour', { type: 'integer' })]),
    );
    await fixture.route(champion, { release: challenger, weight: 1 });
    const gateway = await fixture.start();
    await ready(gateway);
    const accepted = await post(gateway.url, inferBody([10]));
    const refused = await post(gateway.url, inferBody([9_000]));
    expect([accepted.status, accepted.body.parameters.arm, accepted.body.outputs[0]!.data]).toEqual([
      200,
      'champion',
      [20],
    ]);
    expect([refused.status, refused.body.code, refused.body.error]).toEqual([
      422,
      'INPUT_INVALID',
      'row 0, feature "distance": 9000 is outside 0 to 5000 mi',
    ]);
    await fixture.stop(gateway);
    expect((await observation(1, gateway)).arms).toMatchObject({ challenger: { requests: 1, errors: 1 } });
  });

  it('I4: serves the previous release again within two seconds of the route, from memory', async () => {
    const first = await fixture.release(linearModel(1, 1));
    const second = await fixture.release(linearModel(1, 2));
    await fixture.route(first);
    const gateway = await fixture.start({ pollMs: 500 });
    await ready(gateway);
    const promoted = await fixture.route(second);
    await until(
      async () => (await post(gateway.url, inferBody([1]))).body.parameters.generation === promoted,
      'promoted',
    );
    await fixture.store.delete(keys.blob((await fixture.workspace.registry.manifest(first)).onnx));
    const startedMs = performance.now();
    await fixture.route(first);
    await until(async () => (await post(gateway.url, inferBody([1]))).body.model_version === '1', 'rolled back');
    expect(performance.now() - startedMs).toBeLessThan(2_000);
    expect((await post(gateway.url, inferBody([1]))).body.outputs[0]!.data).toEqual([2]);
  });

  it('mirrors to a shadow without its being seen by callers', async () => {
    const champion = await fixture.release(linearModel(2, 0));
    const shadow = await fixture.release(linearModel(2, 0.25));
    await fixture.route(champion, null, { shadows: [{ name: 'next', release: shadow, sample: 1 }] });
    const gateway = await fixture.start();
    await ready(gateway);
    for (let index = 0; index < 5; index += 1) {
      const { body } = await post(gateway.url, inferBody([index], { id: `m${index}` }));
      expect([body.model_version, body.outputs[0]!.data]).toEqual(['1', [2 * index]]);
    }
    await fixture.stop(gateway);
    const rows = await loggedRows("arm = 'next'");
    expect(
      rows.map(({ request_id, release, score, paired_release, paired_score }) => [
        request_id,
        release,
        score,
        paired_release,
        paired_score,
      ]),
    ).toEqual([0, 1, 2, 3, 4].map((index) => [`m${index}`, 2, 2 * index + 0.25, 1, 2 * index]));
    expect((await observation(1, gateway)).arms).toMatchObject({ champion: { requests: 5 } });
  });
});
