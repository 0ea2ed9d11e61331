import type { ModelName } from '../../../workflows/domain/names';
import { KeySet } from './key-set';

/** Scopes of rollouts survive a restart; the keys of a generation without one are only counted for show. */
const GENERATION_SCOPE = 'generation-';

/** The keys met in one rollout of a model: a key is counted once per arm, however many generations the rollout has. */
export class ScopeKeys {
  readonly arms: readonly [KeySet, KeySet];
  readonly paired: KeySet;

  constructor(
    readonly model: ModelName,
    readonly scope: string,
    sets: readonly [KeySet, KeySet, KeySet] = [new KeySet(), new KeySet(), new KeySet()],
  ) {
    this.arms = [sets[0], sets[1]];
    this.paired = sets[2];
  }

  static scopeOf(rollout: { readonly id: string } | null, generation: number): string {
    return rollout ? `rollout ${rollout.id}` : `${GENERATION_SCOPE}${generation}`;
  }

  get isRollout(): boolean {
    return !this.scope.startsWith(GENERATION_SCOPE);
  }

  get isEmpty(): boolean {
    return this.arms[0].size + this.arms[1].size + this.paired.size === 0;
  }

  /** Takes up what another incarnation met. */
  add(other: ScopeKeys): this {
    const own = [...this.arms, this.paired];
    [...other.arms, other.paired].forEach((set, index) => {
      for (const [high, low] of set.entries()) own[index]!.add(high, low);
    });
    return this;
  }

  /** Base64 of the words of each set. */
  encode(): string[] {
    return [...this.arms, this.paired].map((set) =>
      Buffer.from(Uint32Array.from([...set.entries()].flat()).buffer).toString('base64'),
    );
  }

  static decode(model: ModelName, scope: string, encoded: readonly string[]): ScopeKeys {
    const sets = [0, 1, 2].map((index) => {
      const bytes = Buffer.from(encoded[index] ?? '', 'base64');
      const set = new KeySet();
      for (let at = 0; at + 8 <= bytes.length; at += 8) set.add(bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4));
      return set;
    });
    return new ScopeKeys(model, scope, sets as [KeySet, KeySet, KeySet]);
  }
}
