import fc from 'fast-check';
import { assertKey, compareKeys } from '../../../infra/object-store/key-rules';
import { keys } from '../../../workflows/domain/keys';
import { modelName, parseModelName, workflowIds } from '../../../workflows/domain/names';

const part = fc.stringMatching(/^[a-z][a-z0-9-]{0,47}$/);
const name = fc.record({ project: part, model: part });
const digest = `sha256:${'0f'.repeat(32)}` as const;

describe('model names', () => {
  it('are read back as they were written', () => {
    fc.assert(fc.property(name, (ref) => expect(parseModelName(modelName(ref))).toEqual(ref)));
  });

  it.each([
    '',
    'a',
    'a/',
    '/b',
    'a/b/c',
    'A/b',
    'a/B',
    '1a/b',
    'a/-b',
    'a b/c',
    'a/b\n',
    '../b',
    `${'x'.repeat(49)}/b`,
    'é/b',
  ])('are not %j', (text) => expect(parseModelName(text)).toBeUndefined());

  it('make different workflow ids for different models and runs', () => {
    fc.assert(
      fc.property(name, name, (a, b) => {
        const same = modelName(a) === modelName(b);
        expect(workflowIds.deployment(modelName(a)) === workflowIds.deployment(modelName(b))).toBe(same);
        expect(workflowIds.lifecycle(modelName(a), 'r-1')).toBe(`lifecycle/${a.project}/${a.model}/r-1`);
      }),
    );
  });
});

describe('keys of the object store', () => {
  it('are keys that both stores accept, for every model', () => {
    fc.assert(
      fc.property(name, fc.nat(), (ref, number) => {
        const model = modelName(ref);
        for (const key of [
          keys.blob(digest),
          keys.runRequest(model, 'r-0123456789-1'),
          keys.runStep(model, 'r-0123456789-1', 'ingest', 'abc'),
          keys.releaseManifest(model, number),
          keys.approval(model, number, digest),
          keys.route(model, number),
          keys.auditEntry(model, number),
          keys.auditCheckpoint(model, number),
          keys.observation(model, number, 'gateway-1-abc'),
          keys.breakerEvent(model, number, 'gateway-1-abc'),
          keys.predictionPart(model, '2001-03-20', 'part-1'),
          keys.monitorState(model),
          keys.gateway('gateway-1'),
          keys.routeIndex,
        ]) {
          expect(() => assertKey(key)).not.toThrow();
        }
      }),
    );
  });

  it('sort as their numbers do, so that a list is in the order of events', () => {
    const number = fc.integer({ min: 0, max: 999_999_999_999 });
    fc.assert(
      fc.property(number, number, (a, b) => {
        const order = Math.sign(compareKeys(keys.auditEntry('p/m', a), keys.auditEntry('p/m', b)));
        expect(order).toBe(Math.sign(a - b));
      }),
    );
  });

  it('keep the generation of one model apart from another whose name continues it', () => {
    expect(keys.route('p/m2', 1).startsWith(keys.routes('p/m'))).toBe(false);
    expect(keys.routes('p/m').endsWith('/')).toBe(true);
  });

  it('put a blob under the first byte of its digest', () => {
    expect(keys.blob(digest)).toBe(`blobs/sha256/0f/${'0f'.repeat(32)}`);
  });
});
