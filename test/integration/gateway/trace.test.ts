import type { Logger } from '../../../infra/telemetry/log';
import { silentLogger } from '../../../infra/telemetry/log';
import { createPredictionReader } from '../../../infra/predictions/reader';
import { GatewayFixture, inferBody, MODEL, post, ready } from './fixture';
import { failingModel } from './models';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const fixture = new GatewayFixture();
afterAll(() => fixture.dispose());

describe('a request with a trace context', () => {
  it('is named by its trace in the log of failures, with nothing of what it sent', async () => {
    const lines: Record<string, unknown>[] = [];
    const logger = Object.assign(Object.create(silentLogger) as Logger, {
      warn: (fields: Record<string, unknown>) => void lines.push(fields),
    });
    await fixture.route(await fixture.release(failingModel(100, 7)));
    const gateway = await fixture.start({ logger });
    await ready(gateway);
    const headers = { traceparent: `00-${TRACE}-00f067aa0ba902b7-01` };
    for (let sent = 0; sent < 30; sent += 1) {
      const { status } = await post(gateway.url, inferBody([500], { id: `secret-${sent}` }), headers);
      expect(status).toBe(500);
    }
    const failed = lines.filter(({ code }) => code === 'INFERENCE_FAILED');
    expect(failed[0]).toEqual({ model: MODEL, generation: 1, code: 'INFERENCE_FAILED', trace_id: TRACE });
    expect(JSON.stringify(failed)).not.toContain('secret');
    await fixture.stop(gateway);
    const fromMs = Date.now() - 86_400_000;
    const window = { model: MODEL, fromMs, toMs: fromMs + 2 * 86_400_000, release: null, asOfMs: fromMs };
    const reader = createPredictionReader(fixture.store, `${fixture.home}/mirror`);
    expect(await reader.statuses(window)).toEqual({ INFERENCE_FAILED: 30 });
  });
});
