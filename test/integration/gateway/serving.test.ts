import { GatewayFixture, inferBody, MODEL, post, until } from './fixture';
import { linearModel } from './models';

let fixture: GatewayFixture;
beforeEach(() => (fixture = new GatewayFixture()));
afterEach(() => fixture.dispose());

describe('a gateway with one signed route', () => {
  it('answers inference, metadata and health of V2', async () => {
    const release = await fixture.release(linearModel(2, 1), { rows: [{ distance: 10 }], outputs: [21] });
    await fixture.route(release);
    const gateway = await fixture.start();
    await until(async () => (await fetch(`${gateway.url}/v2/health/ready`)).status === 200, 'ready');
    const answer = await post(gateway.url, inferBody([1, 2.5], { id: 'a' }));
    expect(answer).toEqual({
      status: 200,
      body: {
        model_name: MODEL,
        model_version: '1',
        id: 'a',
        parameters: { generation: 1, arm: 'champion', release: release.digest },
        outputs: [{ name: 'score', datatype: 'FP32', shape: [2, 1], data: [3, 6] }],
      },
    });
  });
});
