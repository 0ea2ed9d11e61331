import { startLocalServer, type LocalServer } from '../../infra/temporal/local-server';
import { ensureTool } from '../../infra/tools/ensure-tool';
import { freePorts } from '../support/ports';
import { temporaryFolder } from '../support/temporary-folder';
import { writeOrders } from '../support/tiny-shop';
import { divergences, play, type Played, type Side, SIDES } from './play';
import { playScenario } from './scenario';

/** Every activity of the lifecycle and deployment contracts. */
const ACTIVITIES = [
  ...['admitRun', 'ingest', 'train', 'openImported', 'evaluate', 'judgeGates', 'registerRelease'],
  ...['recordApproval', 'recordApprovalExpiry', 'admitCancel', 'handOver', 'withdrawRelease', 'finishRun'],
  ...['recoverDeployment', 'admitCommand', 'prepareRollout', 'verifyServable', 'commitRoute'],
  ...['watchCanary', 'watchQuality', 'recordRollout'],
];

const folder = temporaryFolder('boundaries');
let server: LocalServer;
const played = new Map<Side, Played>();

beforeAll(async () => {
  const [port] = await freePorts(1);
  const binary = await ensureTool('temporal-cli', () => undefined);
  server = await startLocalServer({ binary, port: port!, uiPort: null, databaseFile: null, namespace: 'default' });
  await writeOrders(folder.path);
  const common = { folder: folder.path, temporalAddress: server.address, scenario: playScenario };
  await Promise.all(SIDES.map(async (side) => played.set(side, await play({ ...common, name: side, side }))));
  process.stdout.write(table());
}, 600_000);

afterAll(async () => {
  await server.stop();
  folder.remove();
}, 60_000);

function table(): string {
  const lines = ACTIVITIES.map((activity) => {
    const cells = SIDES.slice(1).map((side) => {
      const { killed, attempts } = played.get(side)!;
      const mark = killed.includes(`${activity}#1`) ? `killed, ${attempts.get(`${activity}#1`)} attempts` : '-';
      return mark.padEnd(20);
    });
    return `  ${activity.padEnd(22)}${cells.join('')}`;
  });
  const times = SIDES.map((side) => `${side} ${played.get(side)!.seconds.toFixed(0)} s`).join(', ');
  const head = `  ${'activity'.padEnd(22)}${SIDES.slice(1)
    .map((side) => side.padEnd(20))
    .join('')}`;
  return `\n${head}\n${lines.join('\n')}\n  ${times}\n`;
}

describe('I6: a worker that is SIGKILLed at every activity boundary', () => {
  it.each(['before', 'after'] as const)(
    'dies %s the effect of every activity of the lifecycle and the deployment',
    (side) => {
      expect(played.get(side)!.killed).toEqual(ACTIVITIES.map((activity) => `${activity}#1`).sort());
      expect(played.get(side)!.deaths).toBe(ACTIVITIES.length);
    },
  );

  it('dies between the first and the second effect of every activity that writes', () => {
    const { killed } = played.get('after-first-write')!;
    expect(killed).toEqual(
      expect.arrayContaining(['commitRoute#1', 'registerRelease#1', 'recordApproval#1', 'admitRun#1', 'finishRun#1']),
    );
  });

  it.each(['before', 'after-first-write', 'after'] as const)('ends as if nothing had been killed: %s', (side) => {
    const calm = played.get('none')!.outcome;
    const { outcome } = played.get(side)!;
    expect(calm.outcomes).toEqual(['promoted 1', 'promoted 2', 'expired 3', 'cancelled 4']);
    expect(calm.receipts.map((receipt) => receipt.split(' ')[0])).toEqual(['true', 'true', 'true']);
    expect(divergences(calm, outcome)).toEqual([]);
  });

  it.each(SIDES)('leaves an audit log that verifies, with one entry for each effect: %s', (side) => {
    const { outcome } = played.get(side)!;
    expect(outcome.problems).toEqual([]);
    expect(new Set(outcome.auditIds).size).toBe(outcome.auditIds.length);
    expect(outcome.approvals).toEqual([1, 1, 0, 0]);
  });
});
