import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { ModelName } from '../../../workflows/domain/names';
import type { ObservationDocument } from '../../../workflows/domain/observation';
import type { ArmIndex } from './generation-counts';
import { GenerationCounts } from './generation-counts';
import type { JournalRecord } from './journal-format';
import { ANSWER_BYTES, encodeOpen, PAIR_BYTES, readJournal, writeAnswer, writePair } from './journal-format';
import { readRisks, RiskFile } from './journal-risk';
import { ScopeKeys } from './scope-keys';

/** One generation's counts with the scope its keys are counted in. */
export interface JournalEntry {
  readonly counts: GenerationCounts;
  readonly keys: ScopeKeys;
  /** Answers that only memory holds, since the journal could not take them: what a kill would lose. */
  atRisk: number;
}

interface SnapshotFile {
  readonly entries: readonly { readonly document: ObservationDocument; readonly scope: string }[];
  readonly keys: readonly { readonly model: ModelName; readonly scope: string; readonly sets: readonly string[] }[];
}

const BUFFER_BYTES = 1 << 16;
/** The log is replaced by a snapshot at this size: about 700,000 answers. */
const ROTATE_BYTES = 16 << 20;
const RETRY_MS = 1_000;
const RISK_FILE = 'at-risk';

/**
 * Write-ahead journal of the counts. The records of a batch are written (to the page cache, which a SIGKILL does not touch)
 * before its answers leave, so that every answer a caller has seen is in it. Losing power may lose what the
 * kernel had not written yet. What the disk does not take is counted as at risk, until a snapshot holds it.
 */
export class Journal {
  private readonly buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  private readonly view = new DataView(this.buffer.buffer, this.buffer.byteOffset, BUFFER_BYTES);
  private used = 0;
  private file: number | null = null;
  private number = 0;
  private fileBytes = 0;
  private retryAtMs = 0;
  private riskFile: RiskFile | null = null;

  /** A record names its generation by the place in `opened`, which a snapshot holds all of. */
  constructor(
    private readonly folder: string,
    private readonly opened: readonly JournalEntry[],
    private readonly onProblem: (error: Error) => void,
    private readonly nowMs: () => number = Date.now,
  ) {
    mkdirSync(folder, { recursive: true });
    try {
      this.riskFile = new RiskFile(join(folder, RISK_FILE));
    } catch (error) {
      onProblem(error as Error);
    }
    this.rotate();
  }

  /** How many have been written; the newest holds all that was open then. */
  get snapshots(): number {
    return this.number;
  }

  open(index: number): void {
    this.flush();
    this.append(encodeOpened(this.opened[index]!, index));
  }

  answer(
    index: number,
    arm: ArmIndex,
    isError: boolean,
    isNewKey: boolean,
    high: number,
    low: number,
    atMs: number,
    latencyMs: number,
  ): void {
    if (this.used + ANSWER_BYTES > BUFFER_BYTES) this.flush();
    this.used = writeAnswer(this.view, this.used, index, arm, isError, isNewKey, high, low, atMs, latencyMs);
  }

  pair(index: number, high: number, low: number, difference: number, atMs: number): void {
    if (this.used + PAIR_BYTES > BUFFER_BYTES) this.flush();
    this.used = writePair(this.view, this.used, index, high, low, difference, atMs);
  }

  /** Writes what has gathered. A disk that is full or gone is told once a second and never stops an answer. */
  flush(): void {
    if (this.used === 0) return;
    const bytes = this.buffer.subarray(0, this.used);
    this.used = 0;
    this.append(bytes);
    if (this.fileBytes > ROTATE_BYTES) this.rotate();
  }

  /** Leaves everything for the next incarnation. */
  end(): void {
    this.flush();
    this.close();
  }

  /** After a clean end there is nothing to recover. */
  remove(): void {
    this.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private append(bytes: Uint8Array): void {
    // A snapshot holds everything counted so far, so that what could not be appended is in it.
    if (this.file === null && this.nowMs() >= this.retryAtMs && this.rotate()) return;
    if (this.file === null) return this.risk(bytes);
    try {
      // A torn record in the middle would take those behind it along: a log that took a part gets nothing more.
      if (writeSync(this.file, bytes) < bytes.length) throw new Error('the journal took a part of a write');
      this.fileBytes += bytes.length;
    } catch (error) {
      this.fail(error as Error);
      this.risk(bytes);
    }
  }

  /** Counts the answers in records that are in no file, and leaves word of them. */
  private risk(records: Uint8Array): void {
    for (const record of readJournal(Buffer.from(records.buffer, records.byteOffset, records.length)))
      if (record.kind === 'answer') this.opened[record.index]!.atRisk += 1;
    this.tellRisks();
  }

  private tellRisks(): void {
    const risks = this.opened
      .filter(({ atRisk }) => atRisk > 0)
      .map(({ counts: { model, generation, openedAt }, atRisk }) => ({ model, generation, answers: atRisk, openedAt }));
    try {
      this.riskFile?.write(risks);
    } catch (error) {
      this.onProblem(error as Error);
    }
  }

  private settleRisks(): void {
    const risky = this.opened.filter(({ atRisk }) => atRisk > 0);
    if (risky.length === 0) return;
    for (const entry of risky) {
      entry.atRisk = 0;
      // The published counts still say that they may be lost.
      entry.counts.revision += 1;
    }
    this.tellRisks();
  }

  /** Replaces the log by a snapshot of all that was counted. False where the disk does not take it. */
  rotate(): boolean {
    const next = this.number + 1;
    const gathered = Buffer.from(this.buffer.subarray(0, this.used));
    this.used = 0;
    try {
      const path = join(this.folder, `snapshot-${next}.json`);
      writeFileSync(`${path}.tmp`, JSON.stringify(this.snapshot()));
      renameSync(`${path}.tmp`, path);
      this.closeFile();
      this.startLog(join(this.folder, `log-${next}`));
      rmSync(join(this.folder, `snapshot-${this.number}.json`), { force: true });
      rmSync(join(this.folder, `log-${this.number}`), { force: true });
      this.number = next;
      this.settleRisks();
      return true;
    } catch (error) {
      this.fail(error as Error);
      this.risk(gathered);
      return false;
    }
  }

  private startLog(path: string): void {
    // Anew: an attempt that failed may have left a torn record.
    this.file = openSync(path, 'w');
    this.fileBytes = 0;
    this.opened.forEach((entry, index) => {
      const record = encodeOpened(entry, index);
      if (writeSync(this.file!, record) < record.length) throw new Error('the journal took a part of a write');
    });
  }

  private snapshot(): SnapshotFile {
    const about = { gateway: '', incarnation: '', updatedAt: '', lostAtMost: 0 };
    const scopes = new Set(this.opened.map((entry) => entry.keys));
    return {
      entries: this.opened.map(({ counts, keys }) => ({ document: counts.document(about), scope: keys.scope })),
      keys: [...scopes]
        .filter((keys) => keys.isRollout)
        .map((keys) => ({ model: keys.model, scope: keys.scope, sets: keys.encode() })),
    };
  }

  private fail(error: Error): void {
    this.closeFile();
    this.retryAtMs = this.nowMs() + RETRY_MS;
    this.onProblem(error);
  }

  private close(): void {
    this.closeFile();
    this.riskFile?.close();
    this.riskFile = null;
  }

  private closeFile(): void {
    if (this.file !== null) closeSync(this.file);
    this.file = null;
  }
}

function encodeOpened({ counts, keys }: JournalEntry, index: number): Buffer {
  const { model, generation, openedAt } = counts;
  return encodeOpen({ index, model, generation, scope: keys.scope, openedAt });
}

/** What one ended incarnation had counted: its newest snapshot and the records after it. */
export function recoverJournal(folder: string): JournalEntry[] {
  const numbers = readdirSync(folder).flatMap((name) => /^snapshot-(\d+)\.json$/.exec(name)?.[1] ?? []);
  const newest = Math.max(0, ...numbers.map(Number));
  if (newest === 0) return [];
  const snapshot = JSON.parse(readFileSync(join(folder, `snapshot-${newest}.json`), 'utf8')) as SnapshotFile;
  const recovered = new Map<string, JournalEntry>();
  const scopes = new Map<string, ScopeKeys>();
  for (const { model, scope, sets } of snapshot.keys)
    scopes.set(`${model} ${scope}`, ScopeKeys.decode(model, scope, sets));
  const scopeOf = (model: ModelName, scope: string): ScopeKeys => {
    const keys = scopes.get(`${model} ${scope}`) ?? new ScopeKeys(model, scope);
    scopes.set(`${model} ${scope}`, keys);
    return keys;
  };
  for (const { document, scope } of snapshot.entries) {
    recovered.set(`${document.model} ${document.generation}`, {
      counts: GenerationCounts.fromDocument(document),
      keys: scopeOf(document.model, scope),
      atRisk: 0,
    });
  }
  const log = join(folder, `log-${newest}`);
  if (existsSync(log)) replay(readFileSync(log), recovered, scopeOf);
  for (const { model, generation, answers, openedAt } of readRisks(join(folder, RISK_FILE))) {
    const name = `${model} ${generation}`;
    // Opened when the disk took nothing: not even its scope is known.
    const scope = ScopeKeys.scopeOf(null, generation);
    const counts = new GenerationCounts(model, generation, null, openedAt);
    const entry = recovered.get(name) ?? { counts, keys: scopeOf(model, scope), atRisk: 0 };
    recovered.set(name, entry);
    entry.atRisk = answers;
  }
  return [...recovered.values()];
}

function replay(
  bytes: Buffer,
  recovered: Map<string, JournalEntry>,
  scopeOf: (model: ModelName, scope: string) => ScopeKeys,
): void {
  const byIndex: JournalEntry[] = [];
  for (const record of readJournal(bytes)) {
    if (record.kind === 'open') {
      const name = `${record.model} ${record.generation}`;
      const entry = recovered.get(name) ?? {
        counts: new GenerationCounts(record.model, record.generation, null, record.openedAt),
        keys: scopeOf(record.model, record.scope),
        atRisk: 0,
      };
      recovered.set(name, entry);
      byIndex[record.index] = entry;
    } else applyRecord(record, byIndex[record.index]);
  }
}

function applyRecord(record: Exclude<JournalRecord, { kind: 'open' }>, entry: JournalEntry | undefined): void {
  if (!entry) return;
  if (record.kind === 'pair') {
    entry.keys.paired.add(record.high, record.low);
    entry.counts.countPair(record.difference, record.atMs);
    return;
  }
  entry.keys.arms[record.arm].add(record.high, record.low);
  entry.counts.countAnswer(record.arm, record.isError, record.isNewKey, record.atMs, record.latencyMs);
}
