import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PEERS, parseBenchOptions, SECTIONS, USUAL_SECTIONS } from '../../bench/gateway/bench-options';
import { replaceBetweenMarkers } from '../../bench/gateway/report';

describe('the options of bench:gateway', () => {
  it('measure everything against everyone, and write it down', () => {
    expect(parseBenchOptions([])).toEqual({
      sections: USUAL_SECTIONS,
      peers: PEERS,
      rounds: 5,
      seconds: 5,
      requests: 10_000_000,
      isWritten: true,
    });
  });

  it('make a quick run that writes nothing', () => {
    expect(parseBenchOptions(['--quick'])).toMatchObject({ rounds: 2, seconds: 2, isWritten: false });
    expect(parseBenchOptions(['--quick', '--rounds', '9'])).toMatchObject({ rounds: 9, seconds: 2 });
  });

  it('choose sections and peers, in their own order', () => {
    expect(parseBenchOptions(['--only', 'c,a', '--peers', 'mlserver']).sections).toEqual(['a', 'c']);
    expect(parseBenchOptions(['--peers', 'mlserver,fastapi']).peers).toEqual(['fastapi', 'mlserver']);
    expect(parseBenchOptions(['--peers', 'none']).peers).toEqual([]);
  });

  it.each([
    [['--only', 'a,z'], '--only: z is none of a, b, c, d, e, f, g'],
    [['--peers', 'triton'], '--peers: triton is none of fastapi, mlserver, bentoml'],
    [['--rounds', '0'], '--rounds must be a whole number from 1, not 0'],
    [['--seconds', '1e3'], '--seconds must be a whole number from 1, not 1e3'],
  ])('refuse %j', (argv, message) => {
    expect(() => parseBenchOptions(argv)).toThrow(message);
  });

  it('name sections that docs/benchmarks.md has a place for', () => {
    const page = readFileSync(join(__dirname, '../../../docs/benchmarks.md'), 'utf8');
    for (const id of SECTIONS) expect(replaceBetweenMarkers(page, id, 'x')).toContain(`gateway:${id} -->\nx\n`);
  });
});
