import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isMissing } from '../object-store/fs-errors';
import { listAll } from '../object-store/list-all';
import type { ObjectStore } from '../object-store/port';

/** Local copies of Parquet parts, for DuckDB, which needs files. Parts never change: each is fetched once. */
export interface PartMirror {
  /** Paths of the local copies of all parts under `prefix` of these days (`2001-03-14`), whatever their number. */
  parts(prefix: string, days: readonly string[]): Promise<string[]>;
}

const FETCHES_AT_ONCE = 8;

/** Keeps copies below `folder`, which belongs to the mirrors of one store (several processes may share it). */
export function createPartMirror(store: ObjectStore, folder: string): PartMirror {
  return {
    parts: async (prefix, days) => {
      const paths: string[] = [];
      for (const day of days) paths.push(...(await mirrorFolder(store, folder, `${prefix}dt=${day}/`)));
      return paths;
    },
  };
}

async function mirrorFolder(store: ObjectStore, folder: string, prefix: string): Promise<string[]> {
  const local = join(folder, ...prefix.split('/').filter(Boolean));
  const names = new Set<string>();
  for await (const key of listAll(store, prefix)) if (key.endsWith('.parquet')) names.add(key.slice(prefix.length));
  const present = await namesIn(local);
  // A part that left the store was compacted or erased: its copy must not count any longer.
  for (const name of present)
    if (name.endsWith('.parquet') && !names.has(name)) await rm(join(local, name), { force: true });
  const missing = [...names].filter((name) => !present.has(name));
  const gone = new Set<string>();
  for (let start = 0; start < missing.length; start += FETCHES_AT_ONCE) {
    await Promise.all(
      missing.slice(start, start + FETCHES_AT_ONCE).map(async (name) => {
        if (!(await fetchPart(store, `${prefix}${name}`, join(local, name)))) gone.add(name);
      }),
    );
  }
  return [...names].filter((name) => !gone.has(name)).map((name) => join(local, name));
}

async function fetchPart(store: ObjectStore, key: string, path: string): Promise<boolean> {
  const bytes = await store.get(key);
  if (!bytes) return false;
  const temporary = `${path}.${process.pid}-${randomBytes(6).toString('hex')}.tmp`;
  await mkdir(dirname(path), { recursive: true });
  try {
    await writeFile(temporary, bytes);
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
  return true;
}

async function namesIn(folder: string): Promise<Set<string>> {
  try {
    return new Set(await readdir(folder));
  } catch (error) {
    if (isMissing(error)) return new Set();
    throw error;
  }
}

const DAY_MS = 86_400_000;

/** UTC days that overlap [fromMs, toMs). */
export function daysBetween(fromMs: number, toMs: number): string[] {
  const days: string[] = [];
  for (let at = Math.floor(fromMs / DAY_MS) * DAY_MS; at < toMs; at += DAY_MS) days.push(dayOf(at));
  return days;
}

/** UTC day of an instant: `2001-03-14`. */
export function dayOf(epochMs: number): string {
  return new Date(epochMs).toISOString().slice(0, 10);
}

/** A UTC day as [fromMs, toMs), epoch ms. */
export function spanOf(day: string): { readonly fromMs: number; readonly toMs: number } {
  const fromMs = Date.parse(`${day}T00:00:00Z`);
  return { fromMs, toMs: fromMs + DAY_MS };
}
