import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keys } from '../../../workflows/domain/keys';
import type { ObservationDocument } from '../../../workflows/domain/observation';
import { GenerationCounts } from '../../../workers/gateway/records/generation-counts';
import { encodeOpen, readJournal } from '../../../workers/gateway/records/journal-format';
import { Observations } from '../../../workers/gateway/records/observations';

const MODEL = 'a/b';
const SCOPE = 'rollout rollout-2-4';
const published = new Map<string, ObservationDocument>();

const DAY_MS = 86_400_000;

let folder: string;
/** Since the test began, by either clock. */
let passedMs: number;
beforeEach(() => {
  passedMs = 0;
  published.clear();
  folder = mkdtempSync(join(tmpdir(), 'slipway-restarts-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function incarnation(name: string): Observations {
  const put = async (key: string, bytes: Uint8Array): Promise<void> => {
    published.set(key, JSON.parse(Buffer.from(bytes).toString()) as ObservationDocument);
  };
  const clocks = { nowMs: () => performance.now() + passedMs, wallMs: () => Date.now() + passedMs };
  return new Observations({ gateway: 'g', incarnation: name, folder, put, onProblem: () => undefined, ...clocks });
}

function keysOf(arm: 'champion' | 'challenger'): number {
  return [...published.values()].reduce((sum, document) => sum + (document.arms[arm]?.keys ?? 0), 0);
}

describe('a gateway that is drained and started again in a rollout', () => {
  it('does not count its callers a second time', async () => {
    const first = incarnation('first');
    const before = first.open(MODEL, 5, SCOPE);
    for (const key of ['ana', 'ben', 'ana']) before.answer(1, false, key, 1_000, 1);
    before.pair('ana', 0.5, 1_000);
    await first.close();

    const second = incarnation('second');
    const after = second.open(MODEL, 5, SCOPE);
    for (const key of ['ana', 'ben', 'eva']) after.answer(1, false, key, 2_000, 1);
    after.pair('ana', 0.5, 1_000);
    await second.close();

    expect(keysOf('challenger')).toBe(3);
    expect([...published.values()].reduce((sum, { paired }) => sum + paired.keys, 0)).toBe(1);
  });

  it('does not either when it was killed in between, before it had opened its route again', async () => {
    const first = incarnation('first');
    first.open(MODEL, 5, SCOPE).answer(1, false, 'ana', 1_000, 1);
    await first.close();
    const killed = incarnation('killed');
    await killed.publish();
    const third = incarnation('third');
    expect(third.open(MODEL, 5, SCOPE).answer(1, false, 'ana', 2_000, 1)).toBe(false);
    await third.publish();
    expect(readdirSync(folder)).toEqual(['third']);
    await third.close();
    await killed.close();
  });

  it('does not either when it was killed while the disk took no snapshot of the callers it knew', async () => {
    const first = incarnation('first');
    first.open(MODEL, 5, SCOPE).answer(1, false, 'ana', 1_000, 1);
    await first.close();
    const killed = incarnation('killed');
    mkdirSync(join(folder, 'killed', 'snapshot-2.json.tmp'));
    killed.open(MODEL, 5, SCOPE);
    await killed.publish();
    const third = incarnation('third');
    expect(third.open(MODEL, 5, SCOPE).answer(1, false, 'ana', 2_000, 1)).toBe(false);
    await third.close();
    await killed.close();
  });

  it('drops the journal of before once the disk takes a snapshot again', async () => {
    const first = incarnation('first');
    first.open(MODEL, 5, SCOPE).answer(1, false, 'ana', 1_000, 1);
    await first.close();
    const second = incarnation('second');
    const unwritable = join(folder, 'second', 'snapshot-2.json.tmp');
    mkdirSync(unwritable);
    const observer = second.open(MODEL, 5, SCOPE);
    await second.publish();
    expect(readdirSync(folder)).toEqual(['first', 'second']);
    rmSync(unwritable, { recursive: true });
    passedMs = 1_001;
    observer.answer(1, false, 'ben', 2_000, 1);
    second.commit();
    await second.publish();
    expect(readdirSync(folder)).toEqual(['second']);
    await second.close();
    const third = incarnation('third');
    expect(third.open(MODEL, 5, SCOPE).answer(1, false, 'ana', 3_000, 1)).toBe(false);
    await third.close();
  });

  it('keeps callers of a model that it does not open again for a week, and then no longer', async () => {
    const first = incarnation('first');
    first.open(MODEL, 5, SCOPE).answer(1, false, 'ana', 1_000, 1);
    await first.close();
    const second = incarnation('second');
    passedMs = 6.9 * DAY_MS;
    await second.publish();
    expect(readdirSync(folder)).toEqual(['first', 'second']);
    passedMs = 7.1 * DAY_MS;
    const third = incarnation('third');
    await third.publish();
    expect(readdirSync(folder)).toContain('first');
    await second.publish();
    expect(readdirSync(folder)).not.toContain('first');
    await second.close();
    await third.close();
  });

  it('forgets the keys of a rollout that is over', async () => {
    const first = incarnation('first');
    first.open(MODEL, 5, SCOPE).answer(1, false, 'ana', 1_000, 1);
    await first.close();
    const second = incarnation('second');
    second.open(MODEL, 6, 'generation-6').answer(0, false, 'ana', 2_000, 1);
    await second.close();
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('when a gateway began to count a rollout', () => {
  const openedAt = (name: string): string | undefined => published.get(keys.observation(MODEL, 5, name))?.openedAt;

  it('is published before it has counted anything', async () => {
    const observations = incarnation('first');
    observations.open(MODEL, 5, SCOPE);
    observations.open('c/d', 9, 'generation-9');
    await observations.publish();
    expect([...published.keys()]).toEqual([keys.observation(MODEL, 5, 'first')]);
    expect(published.get(keys.observation(MODEL, 5, 'first'))).toMatchObject({ arms: {}, windows: [] });
    expect(Date.parse(openedAt('first')!)).toBeLessThanOrEqual(Date.now());
    await observations.close();
  });

  it.each([
    ['by the log', () => undefined],
    ['by a snapshot', (observations: Observations) => observations.open('c/d', 9, SCOPE)],
  ])('is known after a kill, %s', async (_, before) => {
    const killed = incarnation('first');
    killed.open(MODEL, 5, SCOPE).answer(1, false, 'ana', 1_000, 1);
    before(killed);
    killed.commit();
    await killed.publish();
    const said = openedAt('first');
    published.clear();
    const next = incarnation('second');
    await next.publish();
    expect([typeof said, openedAt('first')]).toEqual(['string', said]);
    await next.close();
    await killed.close();
  });

  it('is left out where a journal of before does not say, which is read as ever', () => {
    const record = { index: 0, model: MODEL, generation: 5, scope: SCOPE } as const;
    const read = [...readJournal(encodeOpen(record))];
    expect(read).toEqual([{ kind: 'open', ...record }]);
    expect(JSON.parse(encodeOpen(record).toString('utf8', 5))).toEqual({ model: MODEL, generation: 5, scope: SCOPE });
    const about = { gateway: 'g', incarnation: 'i', updatedAt: '', lostAtMost: 0 };
    expect('openedAt' in new GenerationCounts(MODEL, 5).document(about)).toBe(false);
  });
});
