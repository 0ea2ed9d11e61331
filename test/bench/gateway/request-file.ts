import { writeFileSync } from 'node:fs';
import type { Body } from './workload';

/** Requests that a load sends in turn. */
export interface Requests {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly bodies: readonly Body[];
}

/** The first characters of every id of one load; with a number of ten digits they make ID_LENGTH. */
export const ID_PREFIX_LENGTH = 6;

/**
 * A request file, as `requests.lua` and `load-child.ts` read it: method, path, number of headers, the headers, number of bodies; for each
 * body a line with the lengths of what is before and after the id, then both, as bytes.
 */
export function encodeRequests({ path, headers, bodies }: Requests): Buffer {
  const named = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const head = ['POST', path, named.length, ...named, bodies.length].join('\n');
  const parts = bodies.flatMap(({ before, after }) => [
    Buffer.from(`${before.length} ${after.length}\n`),
    before,
    after,
  ]);
  return Buffer.concat([Buffer.from(`${head}\n`), ...parts]);
}

/** Throws TypeError where the bytes are no request file. */
export function decodeRequests(file: Buffer): Requests {
  let at = 0;
  const line = (): string => {
    const end = file.indexOf('\n', at);
    if (end < 0) throw new TypeError('the request file ends too early');
    const text = file.toString('latin1', at, end);
    at = end + 1;
    return text;
  };
  const take = (bytes: number): Buffer => file.subarray(at, (at += bytes));
  if (line() !== 'POST') throw new TypeError('no request file');
  const path = line();
  const headers = Object.fromEntries(
    Array.from({ length: Number(line()) }, () => line().split(': ', 2) as [string, string]),
  );
  const bodies = Array.from({ length: Number(line()) }, () => {
    const [before, after] = line().split(' ').map(Number);
    return { before: take(before!), after: take(after!) };
  });
  return { path, headers, bodies };
}

export function writeRequests(file: string, requests: Requests): string {
  writeFileSync(file, encodeRequests(requests));
  return file;
}
