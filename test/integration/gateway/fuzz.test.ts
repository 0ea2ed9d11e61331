import { fuzzGateway } from '../../bench/gateway-fuzz';

describe('a gateway under malformed requests', () => {
  it('answers each with a code of the catalogue, none with a 5xx but 503, and goes on answering rightly', async () => {
    const { byStatus, wrong } = await fuzzGateway(3_000, 7);
    expect(wrong).toEqual([]);
    // Every kind of refusal was met, or the generator is no longer one of this protocol.
    for (const status of ['200', '400', '404', '405', '413', '415', '422'])
      expect([status, (byStatus[status] ?? 0) > 0]).toEqual([status, true]);
  }, 120_000);
});
