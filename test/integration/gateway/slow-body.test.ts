import { connect } from 'node:net';
import { GatewayFixture, inferBody, MODEL, ready } from './fixture';
import { linearModel } from './models';

const fixture = new GatewayFixture();
afterAll(() => fixture.dispose());

/** Sends the head of a request now and its body when told; resolves with the whole reply. */
function slowRequest(port: number, body: string): { send(): void; readonly reply: Promise<string> } {
  const socket = connect(port, '127.0.0.1');
  const reply = new Promise<string>((resolve, reject) => {
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString()));
    socket.on('end', () => resolve(text));
    socket.on('error', reject);
  });
  const head = [
    `POST /v2/models/${MODEL}/infer HTTP/1.1`,
    'Host: x',
    `Content-Length: ${body.length}`,
    'Connection: close',
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
  return { send: () => void socket.write(body), reply };
}

describe('a request whose body comes slowly', () => {
  it('is answered by what serves when it is whole: never by a challenger that was taken back meanwhile', async () => {
    // given a rollout in which the challenger has everything
    const champion = await fixture.release(linearModel(2, 1));
    const challenger = await fixture.release(linearModel(3, 1));
    await fixture.route(champion, { release: challenger, weight: 1 });
    const gateway = await fixture.start();
    await ready(gateway);
    const request = slowRequest(gateway.port, inferBody([1]));
    await new Promise((resolve) => setTimeout(resolve, 100));
    // when the champion serves alone again before the body is there
    await fixture.route(champion);
    await gateway.poll();
    request.send();
    // then
    const reply = await request.reply;
    expect(reply).toContain('"generation":2');
    expect(reply).toContain('"model_version":"1"');
  });
});
