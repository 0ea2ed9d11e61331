import type { ReleaseRef } from '../../../workflows/domain/release';
import { routeProblem } from '../../../infra/routes/document';
import { previousChampion } from '../../../infra/routes/history';

const release = (version: number): ReleaseRef => ({
  model: 'p/m',
  version,
  digest: `sha256:${version.toString().padStart(64, '0')}`,
});
const versions = (...list: number[]): number | null => previousChampion(list.map(release))?.version ?? null;

describe('the champion that a rollback would serve', () => {
  it('is the release that served before this one', () => {
    expect(versions()).toBeNull();
    expect(versions(1)).toBeNull();
    expect(versions(1, 1, 1, 2, 2)).toBe(1);
    expect(versions(1, 2, 3)).toBe(2);
  });

  it('is never the release that was rolled back', () => {
    expect(versions(1, 2, 1)).toBeNull();
    expect(versions(1, 2, 3, 2)).toBe(1);
    expect(versions(1, 2, 3, 2, 1)).toBeNull();
    expect(versions(1, 2, 1, 3)).toBe(1);
  });
});

describe('a route that no gateway could serve', () => {
  const base = { model: 'p/m', state: 'serving', shadows: [] } as const;
  const arm = (name: 'champion' | 'challenger', weight: number, model = 'p/m') => ({
    name,
    weight,
    release: { ...release(1), model },
  });

  it('is told by what is wrong with it', () => {
    expect(routeProblem({ ...base, arms: [arm('champion', 0.9), arm('challenger', 0.1)] })).toBeUndefined();
    expect(routeProblem({ ...base, state: 'retired', arms: [] })).toBeUndefined();
    expect(routeProblem({ ...base, arms: [] })).toBe('it has no arm');
    expect(routeProblem({ ...base, arms: [arm('challenger', 1)] })).toBe('it has no champion');
    expect(routeProblem({ ...base, arms: [arm('champion', 0.5), arm('champion', 0.5)] })).toBe('an arm is named twice');
    expect(routeProblem({ ...base, arms: [arm('champion', 0.9), arm('challenger', 0.2)] })).toContain('sum to 1.1');
    expect(routeProblem({ ...base, arms: [arm('champion', 1, 'p/other')] })).toBe('an arm serves another model');
  });
});
