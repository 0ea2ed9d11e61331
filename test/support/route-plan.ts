import type { RoutePlan } from '../../workflows/deployment.activities';
import type { ReleaseRef } from '../../workflows/domain/release';
import { MODEL } from './release-fixture';

/** A plan by which `champion` serves alone, on a generation. */
export function routePlan(champion: ReleaseRef, onGeneration: number, changes: Partial<RoutePlan> = {}): RoutePlan {
  return {
    model: MODEL,
    onGeneration,
    intent: `serve/on-${onGeneration}`,
    reason: 'because',
    actor: 'process:control',
    state: 'serving',
    arms: [{ name: 'champion', release: champion, weight: 1 }],
    shadows: [],
    paired: false,
    rollout: null,
    evidence: [],
    ...changes,
  };
}
