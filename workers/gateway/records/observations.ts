import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { keys as storeKeys } from '../../../workflows/domain/keys';
import type { ModelName } from '../../../workflows/domain/names';
import type { ObservationDocument } from '../../../workflows/domain/observation';
import type { ArmIndex } from './generation-counts';
import { GenerationCounts } from './generation-counts';
import type { JournalEntry } from './journal';
import { Journal, recoverJournal } from './journal';
import { hashed, hashKey } from './key-set';
import { ScopeKeys } from './scope-keys';

/** Counts go to the store at least so often while they change. */
const PUBLISH_EVERY_MS = 250;
/** Longer than any request takes. */
const FORGET_AFTER_MS = 120_000;
/** Nobody opens the rollout any more whose keys lie so long, unless this gateway was away: routes have some time to open first. */
const PAST_KEYS_MS = 7 * 86_400_000;
const OPENING_MS = 600_000;

export interface ObservationsOptions {
  readonly gateway: string;
  readonly incarnation: string;
  /** Folder of the journals of all incarnations of this gateway. */
  readonly folder: string;
  readonly put: (key: string, bytes: Uint8Array) => Promise<void>;
  readonly onProblem: (error: Error) => void;
  /** Monotonic; tests move it. */
  readonly nowMs?: () => number;
  /** Epoch ms, to compare with times of files; tests move it. */
  readonly wallMs?: () => number;
}

/** Where the requests of one generation are counted. */
export class GenerationObserver implements JournalEntry {
  published = 0;
  atRisk = 0;
  /** When a newer generation took over; null while this one serves. */
  retiredAtMs: number | null = null;
  constructor(
    readonly counts: GenerationCounts,
    readonly keys: ScopeKeys,
    /** Place in the journal's list; changes when older generations leave it, and is -1 when this one has. */
    public index: number,
    private readonly journal: Journal,
  ) {}

  /** Counts one answer and journals it; true when the key is new to the arm. Its hash stays in `hashed` until the next call. */
  answer(arm: ArmIndex, isError: boolean, key: string, atMs: number, latencyMs: number): boolean {
    hashKey(key);
    const isNew = this.keys.arms[arm].add(hashed.high, hashed.low);
    this.counts.countAnswer(arm, isError, isNew, atMs, latencyMs);
    if (this.index >= 0) this.journal.answer(this.index, arm, isError, isNew, hashed.high, hashed.low, atMs, latencyMs);
    return isNew;
  }

  /** Counts both arms' scores of a key's first request, once a rollout. `atMs` is its time in the route's clock. */
  pair(key: string, difference: number, atMs: number): void {
    hashKey(key);
    if (!this.keys.paired.add(hashed.high, hashed.low)) return;
    this.counts.countPair(difference, atMs);
    if (this.index >= 0) this.journal.pair(this.index, hashed.high, hashed.low, difference, atMs);
  }
}

/** One that was killed, or that ended in a rollout. */
interface PastIncarnation {
  readonly incarnation: string;
  readonly entries: readonly JournalEntry[];
  isPublished: boolean;
  /** When it last wrote its journal, epoch ms. */
  readonly writtenAtMs: number;
}

/** All counts of this incarnation, their journal, and the final counts of incarnations that were killed. */
export class Observations {
  private readonly opened: GenerationObserver[] = [];
  private readonly journal: Journal;
  private readonly recovered: PastIncarnation[];
  private readonly timer: NodeJS.Timeout;
  /** Keys of rollouts that went on before this incarnation. */
  private pastKeys: ScopeKeys[];
  /** Of them, those that an observer took up, with how many snapshots there were: the next one holds them. */
  private readonly takenUp = new Map<ScopeKeys, number>();
  private publishing: Promise<void> | null = null;
  private readonly nowMs: () => number;
  private readonly startedAtMs: number;

  constructor(private readonly options: ObservationsOptions) {
    this.nowMs = options.nowMs ?? (() => performance.now());
    this.startedAtMs = this.nowMs();
    this.recovered = recoverAll(options);
    this.pastKeys = [...new Set(this.recovered.flatMap(({ entries }) => entries.map(({ keys }) => keys)))];
    this.journal = new Journal(join(options.folder, options.incarnation), this.opened, options.onProblem, this.nowMs);
    this.timer = setInterval(() => void this.publish(), PUBLISH_EVERY_MS);
    this.timer.unref();
  }

  /** The observer of a generation; the same one when it is asked for again. */
  open(model: ModelName, generation: number, scope: string): GenerationObserver {
    const known = this.opened.find((entry) => entry.counts.model === model && entry.counts.generation === generation);
    if (known) {
      known.retiredAtMs = this.isNewest(known) ? null : known.retiredAtMs;
      return known;
    }
    const index = this.opened.length;
    const before = Math.max(
      ...this.opened.map(({ counts }) => (counts.model === model ? (counts.reachedMs ?? -Infinity) : -Infinity)),
    );
    const observer = new GenerationObserver(
      new GenerationCounts(model, generation, Number.isFinite(before) ? before : null, new Date().toISOString()),
      this.keysOf(model, scope),
      index,
      this.journal,
    );
    this.opened.push(observer);
    // A route that was slow to open may come after a newer one: that one serves on, and this one never will.
    for (const one of this.opened)
      if (one.counts.model === model && !this.isNewest(one)) one.retiredAtMs ??= this.nowMs();
    // Keys from before a restart are in no journal of this incarnation yet: a snapshot takes them up.
    if (observer.keys.isEmpty) this.journal.open(index);
    else this.journal.rotate();
    // Published though it counted nothing yet: verdicts give each gateway of a rollout its share by when it began.
    if (observer.keys.isRollout) observer.counts.revision += 1;
    return observer;
  }

  /** The model is served no more: what was counted leaves memory and journal once it is published. */
  retire(model: ModelName): void {
    for (const observer of this.opened) if (observer.counts.model === model) observer.retiredAtMs ??= this.nowMs();
  }

  private isNewest({ counts: { model, generation } }: GenerationObserver): boolean {
    return this.opened.every(({ counts }) => counts.model !== model || counts.generation <= generation);
  }

  /** Writes the journal; answers of the batch may leave after it. */
  commit(): void {
    this.journal.flush();
  }

  /** Puts what changed. Never throws: the counts are cumulative, and the next round puts them again. */
  publish(): Promise<void> {
    this.publishing ??= this.publishChanged().finally(() => (this.publishing = null));
    return this.publishing;
  }

  /**
   * Last counts to the store. The journal stays where the store does not answer, for the next incarnation to publish, and in a
   * rollout, whose callers would otherwise be counted again as new ones after each restart.
   */
  async close(): Promise<void> {
    clearInterval(this.timer);
    this.journal.flush();
    await this.publish();
    await this.publish();
    const isPublished = this.opened.every((observer) => observer.published === observer.counts.revision);
    const hasRollout = this.opened.some(({ keys, retiredAtMs }) => retiredAtMs === null && keys.isRollout);
    if (isPublished && !hasRollout) this.journal.remove();
    else this.journal.end();
  }

  /** Keys of the same rollout from an earlier generation, or from before a restart. */
  private keysOf(model: ModelName, scope: string): ScopeKeys {
    const isOwn = (keys: ScopeKeys): boolean => keys.model === model && keys.scope === scope;
    const known = this.opened.find(({ keys }) => isOwn(keys))?.keys;
    const past = this.pastKeys.filter(isOwn);
    for (const keys of past) if (!keys.isEmpty) this.takenUp.set(keys, this.journal.snapshots);
    this.pastKeys = this.pastKeys.filter((keys) => keys.model !== model);
    return known ?? past.reduce((all, one) => all.add(one), new ScopeKeys(model, scope));
  }

  /** Generations that are over and whose counts are in the store leave memory and journal; no request can reach them. */
  private forgetOld(): void {
    const isOver = (observer: GenerationObserver): boolean =>
      observer.retiredAtMs !== null &&
      this.nowMs() - observer.retiredAtMs > FORGET_AFTER_MS &&
      observer.published === observer.counts.revision;
    if (!this.opened.some(isOver)) return;
    const kept = this.opened.filter((observer) => !isOver(observer));
    this.journal.flush();
    for (const observer of this.opened) observer.index = -1;
    this.opened.splice(0, this.opened.length, ...kept);
    kept.forEach((observer, index) => (observer.index = index));
    this.journal.rotate();
  }

  private async publishChanged(): Promise<void> {
    try {
      for (const past of [...this.recovered]) await this.publishPast(past);
      for (const observer of this.opened) {
        const revision = observer.counts.revision;
        if (revision === observer.published) continue;
        await this.put(observer.counts.document(this.about(this.options.incarnation, observer.atRisk)));
        observer.published = revision;
      }
      this.forgetOld();
    } catch (error) {
      this.options.onProblem(error as Error);
    }
  }

  /** Its journal stays until the keys that it met are in that of this incarnation: a kill before that must not make them new. */
  private async publishPast(past: PastIncarnation): Promise<void> {
    for (const { counts, atRisk } of past.isPublished ? [] : past.entries) {
      if (counts.revision + atRisk > 0) await this.put(counts.document(this.about(past.incarnation, atRisk)));
    }
    past.isPublished = true;
    const keys = past.entries.map((entry) => entry.keys);
    if (keys.some((one) => this.isOnlyInPast(one)) && !this.isExpired(past)) return;
    this.pastKeys = this.pastKeys.filter((one) => !keys.includes(one));
    for (const one of keys) this.takenUp.delete(one);
    this.recovered.splice(this.recovered.indexOf(past), 1);
    rmSync(join(this.options.folder, past.incarnation), { recursive: true, force: true });
  }

  /** Not taken up by the rollout's observer, or no snapshot was written since: a full disk takes none. */
  private isOnlyInPast(keys: ScopeKeys): boolean {
    const takenUpAt = this.takenUp.get(keys);
    if (takenUpAt !== undefined) return this.journal.snapshots === takenUpAt;
    return keys.isRollout && this.pastKeys.includes(keys);
  }

  /** Keys of a model that this gateway never opens again would stay for ever. Those taken up wait for their snapshot. */
  private isExpired({ entries, writtenAtMs }: PastIncarnation): boolean {
    const wallMs = this.options.wallMs?.() ?? Date.now();
    const isOld = wallMs - writtenAtMs > PAST_KEYS_MS && this.nowMs() - this.startedAtMs > OPENING_MS;
    return isOld && !entries.some(({ keys }) => this.takenUp.has(keys) && this.isOnlyInPast(keys));
  }

  /** Answers leave after the journal has them, so that no answered request is missing; but for what the disk did not take. */
  private about(
    incarnation: string,
    lostAtMost: number,
  ): Pick<ObservationDocument, 'gateway' | 'incarnation' | 'updatedAt' | 'lostAtMost'> {
    return { gateway: this.options.gateway, incarnation, updatedAt: new Date().toISOString(), lostAtMost };
  }

  private put(document: ObservationDocument): Promise<void> {
    const key = storeKeys.observation(document.model, document.generation, document.incarnation);
    return this.options.put(key, Buffer.from(JSON.stringify(document)));
  }
}

function recoverAll({ folder, incarnation, onProblem }: ObservationsOptions): PastIncarnation[] {
  return foldersOf(folder)
    .filter((name) => name !== incarnation)
    .flatMap((name) => {
      try {
        const path = join(folder, name);
        const about = { incarnation: name, isPublished: false, writtenAtMs: writtenAtMs(path) };
        return [{ ...about, entries: recoverJournal(path) }];
      } catch (error) {
        // Kept for people to look at; counting goes on without it.
        onProblem(error as Error);
        return [];
      }
    });
}

function writtenAtMs(folder: string): number {
  return Math.max(...readdirSync(folder).map((name) => statSync(join(folder, name)).mtimeMs), statSync(folder).mtimeMs);
}

function foldersOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
