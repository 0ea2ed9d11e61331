import { alphaShareOf, type Counter, together } from '../../workflows/domain/statistics/counts-apart';
import { compareErrorRates, type KeyCounts } from '../../workflows/domain/statistics/error-rates';
import { judgeErrors } from '../../workflows/domain/statistics/error-verdict';
import { seededRandom, type RandomSource } from '../../workflows/domain/statistics/random';

/** Taken out once: in a sandbox (tests) each look-up of a global is slow. */
const { ceil, floor, log, max, min } = Math;

/** Simulated rollouts whose callers ask several gateways. */
export interface FleetRollout {
  /** Gateways in the end; `joinEvery` requests one more joins after the first, where it is given. */
  readonly gateways: number;
  readonly joinEvery?: number;
  /** Gateways that a key asks: all of them at once, any one at a time, any of half of them, or always the same one. */
  readonly spread: 'at once' | 'any' | 'half' | 'one';
  /** `persistent`: the key's first outcome is that of all its requests. `independent`: each request has its own. */
  readonly outcomes: 'persistent' | 'independent';
  /** Whether a caller whom the champion failed asks another gateway at once. A failed challenger nobody sees: the champion answers. */
  readonly retries: boolean;
  /** Rates of requests that meet an error. */
  readonly champion: number;
  readonly challenger: number;
  /** Rates by gateway, where each meets callers of its own (`spread` is `one`). */
  readonly unequal?: readonly Readonly<Record<'champion' | 'challenger', number>>[];
  /** Challenger's share of keys. */
  readonly weight: number;
  readonly margin: number;
  readonly keys: number;
  readonly visits: number;
  readonly alpha: number;
  /** `added`: sums over gateways, as if no key asked two of them. Default `apart`. */
  readonly counting?: 'apart' | 'added';
}

/** As `ErrorCounts`, still being counted. */
interface Arms extends Record<'champion' | 'challenger', { keys: number; errorKeys: number }> {
  readonly challengerLost: 0;
}

/** Distinct challenger keys in the fleet at the first verdict of each kind; null where it never came. */
export interface FleetVerdicts {
  readonly fail: number | null;
  readonly pass: number | null;
}

/** One rollout, looked at after each new key that can bring a verdict. `until`: ends with the first of this kind. */
export function fleetVerdicts(seed: number, rollout: FleetRollout, until?: 'fail' | 'pass'): FleetVerdicts {
  const fleet = new Fleet(seededRandom(seed), rollout);
  const { gateways, alpha, margin } = rollout;
  const counters: readonly Counter<Arms>[] =
    rollout.counting === 'added' ? [together(newArms())] : Array.from({ length: gateways }, (_, at) => counterAt(at));
  const found: { fail: number | null; pass: number | null } = { fail: null, pass: null };
  let isHeldBack = false;
  for (let visit = 0; visit < rollout.visits; visit += 1) {
    for (const trial of fleet.ask(visit)) {
      const counter = counters[trial.gateway % counters.length]!;
      const seen = counter.counts[trial.arm];
      seen.keys += 1;
      if (trial.isError) seen.errorKeys += 1;
      if (!isLook(counter.counts, trial, margin)) continue;
      // All are judged when one has reached its bar, and from then on until they agree: at each look would take hours.
      const reached = reachedBy(counter, alpha, margin);
      if (reached === null ? !isHeldBack : found[reached] !== null) continue;
      const { outcome } = judgeErrors({ margin, alpha, minKeys: 1 }, counters);
      isHeldBack = outcome === 'inconclusive';
      if (outcome !== 'inconclusive') found[outcome] ??= fleet.challengerKeys;
    }
    if (until && found[until] !== null) break;
  }
  return found;
}

/** An error of the challenger may bring a fail; one of the champion a pass, as may many keys without. */
function isLook(seen: Arms, { arm, isError }: Trial, margin: number): boolean {
  const isWorse = rateOf(seen.challenger) > rateOf(seen.champion) + margin;
  return isWorse ? arm === 'challenger' && isError : isTelling(arm, isError, seen);
}

/** What these counts alone show. */
function reachedBy(
  { alphaShare, counts: { champion, challenger } }: Counter<Arms>,
  alpha: number,
  margin: number,
): 'fail' | 'pass' | null {
  const bar = log(1 / (alpha * alphaShare));
  if (largestRatio(champion, challenger, margin) < bar) return null;
  const { logWorse, logNotWorse } = compareErrorRates(champion, challenger, margin);
  return logWorse >= bar ? 'fail' : logNotWorse >= bar ? 'pass' : null;
}

/** A key's first request at a gateway. */
interface Trial {
  readonly arm: 'champion' | 'challenger';
  readonly gateway: number;
  readonly isError: boolean;
}

class Fleet {
  /** By key and gateway. */
  private readonly counted: Uint8Array;
  /** By key: 0 not asked yet, 1 well, 2 with an error. */
  private readonly outcomes: Uint8Array;
  challengerKeys = 0;

  constructor(
    private readonly random: RandomSource,
    private readonly rollout: FleetRollout,
  ) {
    this.counted = new Uint8Array(rollout.keys * rollout.gateways);
    this.outcomes = new Uint8Array(rollout.keys);
  }

  /** Trials that one visit of a key, and its retries, make. */
  ask(visit: number): Trial[] {
    const { gateways, joinEvery, keys, spread } = this.rollout;
    const here = joinEvery === undefined ? gateways : min(gateways, 1 + floor(visit / joinEvery));
    const key = floor(this.random() * keys);
    const trials: Trial[] = [];
    const asked = spread === 'at once' ? Array.from({ length: here }, (_, at) => at) : [this.gatewayOf(key, here)];
    for (const gateway of asked) {
      const isError = this.askGateway(key, gateway, trials);
      if (isError && this.rollout.retries && here > 1 && !this.isChallenged(key))
        this.askGateway(key, (gateway + 1 + floor(this.random() * (here - 1))) % here, trials);
    }
    return trials;
  }

  /** The first keys are the challenger's: outcomes do not depend on numbers. */
  private isChallenged(key: number): boolean {
    return key < this.rollout.keys * this.rollout.weight;
  }

  private gatewayOf(key: number, here: number): number {
    const { spread } = this.rollout;
    const choices = spread === 'any' ? here : spread === 'half' ? ceil(here / 2) : 1;
    return (key + floor(this.random() * choices)) % here;
  }

  private askGateway(key: number, gateway: number, trials: Trial[]): boolean {
    const arm = this.isChallenged(key) ? 'challenger' : 'champion';
    const known = this.outcomes[key]!;
    const isKept = known > 0 && this.rollout.outcomes === 'persistent';
    const isError = isKept ? known === 2 : this.random() < (this.rollout.unequal?.[gateway] ?? this.rollout)[arm];
    if (known === 0) this.outcomes[key] = isError ? 2 : 1;
    if (known === 0 && arm === 'challenger') this.challengerKeys += 1;
    const place = key * this.rollout.gateways + gateway;
    if (this.counted[place] === 0) trials.push({ arm, gateway, isError });
    this.counted[place] = 1;
    return isError;
  }
}

function counterAt(at: number): Counter<Arms> {
  return { gateway: `g${at + 1}`, alphaShare: alphaShareOf(at + 1), counts: newArms() };
}

function newArms(): Arms {
  return { champion: { keys: 0, errorKeys: 0 }, challenger: { keys: 0, errorKeys: 0 }, challengerLost: 0 };
}

/** An error of the champion makes the challenger look better; its other looks are each 25 keys. */
function isTelling(arm: 'champion' | 'challenger', isError: boolean, { challenger }: Arms): boolean {
  return arm === 'champion' ? isError && challenger.keys > 0 : challenger.keys % 25 === 0;
}

function rateOf({ keys, errorKeys }: KeyCounts): number {
  return errorKeys / max(1, keys);
}

/** No likelihood ratio is larger than that of the rates seen: where it is too small nothing needs computing. */
function largestRatio(champion: KeyCounts, challenger: KeyCounts, margin: number): number {
  const edge = min(1, rateOf(champion) + margin);
  const rate = rateOf(challenger);
  const term = (a: number, b: number): number => (a === 0 ? 0 : a * log(a / b));
  return challenger.keys * (term(rate, edge) + term(1 - rate, 1 - edge));
}
