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
    const connection = await (await DuckDBInstance.create(':memory:')).connect();
    const files = `${fixture.storeRoot}/predictions/${MODEL}/*/*.parquet`;
    const read = await connection.runAndReadAll(
      `SELECT *, "x.distance" AS distance, "x.origin" AS origin, epoch_ms(event_time) AS ms FROM read_parquet('${files}', hive_partitioning = true) ORDER BY request_id`,
    );
    const rows = read.getRowObjectsJson() as Record<string, unknown>[];
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
      expect(row).toMatchObject({ distance: index, origin: index === 3 ? null : 'SEA' });
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
});
