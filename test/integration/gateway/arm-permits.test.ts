import { signArmPermit } from '../../../client/signed-documents';
import { createPredictionReader } from '../../../infra/predictions/reader';
import { createSigner, type PrivateKey } from '../../../infra/signing/keys';
import { keys } from '../../../workflows/domain/keys';
import type { ObservationDocument } from '../../../workflows/domain/observation';
import type { Gateway } from '../../../workers/gateway/gateway';
import { testKeys } from '../../support/workspace';
import { type Answer, GatewayFixture, inferBody, MODEL, post, ready } from './fixture';
import { linearModel } from './models';

const fixture = new GatewayFixture();
const clock = { ms: 0 };
let gateway: Gateway;
beforeAll(async () => {
  const [champion, challenger, shadow] = [
    await fixture.release(linearModel(2, 0)),
    await fixture.release(linearModel(2, 0.5)),
    await fixture.release(linearModel(2, 0.75)),
  ];
  await fixture.route(
    champion,
    { release: challenger, weight: 0.01 },
    { paired: true, shadows: [{ name: 'next', release: shadow, sample: 1 }] },
  );
  gateway = await fixture.start({ nowMs: () => performance.now() + clock.ms });
  await ready(gateway);
});
afterAll(() => fixture.dispose());

interface Changes {
  readonly key?: PrivateKey;
  readonly model?: string;
  readonly workspace?: string;
  readonly validMs?: number;
  readonly at?: Date;
}

function permit(arm: string, changes: Changes = {}): Record<string, string> {
  const { key = testKeys.developer, model = MODEL, workspace = 'dev', validMs = 60_000, at } = changes;
  return { 'slipway-arm': signArmPermit(createSigner(key), { workspace, model, arm, validMs }, at) };
}

const ask = async (headers: Record<string, string>, id = 'test'): Promise<Answer> =>
  post(gateway.url, inferBody([1], { id }), headers);

describe('a signed permit for an arm', () => {
  it.each([
    ['champion', 2],
    ['challenger', 2.5],
    ['next', 2.75],
  ])('has %s answer', async (arm, score) => {
    const { body } = await ask(permit(arm));
    expect([body.parameters.arm, body.outputs[0]!.data]).toEqual([arm, [score]]);
  });

  it.each([
    ['of a key without the role', 'ROLE_MISSING', permit('challenger', { key: testKeys.ana })],
    ['for another model', 'COMMAND_REFUSED', permit('challenger', { model: 'flights/other' })],
    ['for another workspace', 'WORKSPACE_MISMATCH', permit('challenger', { workspace: 'prod' })],
    ['that ended', 'COMMAND_EXPIRED', permit('challenger', { at: new Date(Date.now() - 3_600_000) })],
    ['for longer than a week', 'COMMAND_EXPIRED', permit('challenger', { validMs: 8 * 86_400_000 })],
    ['of the future', 'COMMAND_EXPIRED', permit('challenger', { at: new Date(Date.now() + 3_600_000) })],
    ['for an arm that the route has not', 'COMMAND_REFUSED', permit('other')],
    ['that is no envelope', 'SIGNATURE_INVALID', { 'slipway-arm': 'challenger' }],
  ])('%s is refused with %s', async (_, code, headers) => {
    expect((await ask(headers)).body.code).toBe(code);
  });

  it('that was changed is refused', async () => {
    const header = permit('champion')['slipway-arm']!;
    const envelope = JSON.parse(Buffer.from(header, 'base64url').toString()) as { payload: string };
    const payload = Buffer.from(envelope.payload, 'base64').toString().replace('champion', 'next');
    const changed = JSON.stringify({ ...envelope, payload: Buffer.from(payload).toString('base64') });
    const answer = await ask({ 'slipway-arm': Buffer.from(changed).toString('base64url') });
    expect(answer.body.code).toBe('SIGNATURE_INVALID');
  });

  it('leaves nothing in what verdicts are made from, and rows of their own in the log', async () => {
    await ask({}, 'traffic');
    await ask(permit('challenger'), 'test-challenger');
    await ask(permit('next'), 'test-next');
    const { incarnation } = gateway;
    await fixture.stop(gateway);
    const bytes = await fixture.store.get(keys.observation(MODEL, 1, incarnation));
    const { arms } = JSON.parse(Buffer.from(bytes!).toString()) as ObservationDocument;
    expect((arms.champion?.requests ?? 0) + (arms.challenger?.requests ?? 0)).toBe(1);
    const fromMs = Date.now() - 86_400_000;
    const window = { model: MODEL, fromMs, toMs: fromMs + 2 * 86_400_000, release: null, asOfMs: fromMs };
    const reader = createPredictionReader(fixture.store, `${fixture.home}/mirror`);
    expect(await reader.statuses(window)).toEqual({ ok: 1 });
    gateway = await fixture.start({ nowMs: () => performance.now() + clock.ms, pollMs: 60_000 });
    await ready(gateway);
  });

  it('reaches no challenger and no shadow whose lease ended, and always the champion', async () => {
    clock.ms += 20_000;
    const codes = await Promise.all(
      ['challenger', 'next', 'champion'].map(async (arm) => (await ask(permit(arm))).body.code ?? 'ok'),
    );
    expect(codes).toEqual(['COMMAND_REFUSED', 'COMMAND_REFUSED', 'ok']);
  });
});
