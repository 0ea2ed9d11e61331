import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import type { LoadResult } from './load';
import { decodeRequests } from './request-file';
import { quantile } from './statistics';
import { bodyWithId } from './workload';

/** Where wrk is not installed: load-child <origin> <request file> <id prefix> <seconds> <connections>. Prints as requests.lua does. */
const [origin, file, prefix, seconds, connections] = process.argv.slice(2) as [string, string, string, string, string];
const { path, headers, bodies } = decodeRequests(readFileSync(file));
const agent = new Agent({ keepAlive: true, maxSockets: Number(connections) });
const latenciesUs: number[] = [];
let sent = 0;
let badStatus = 0;
let broken = 0;

function ask(): Promise<void> {
  const body = bodyWithId(bodies[sent % bodies.length]!, `${prefix}${String((sent += 1)).padStart(10, '0')}`);
  const startedMs = performance.now();
  return new Promise((resolve) => {
    const post = request(
      `${origin}${path}`,
      { method: 'POST', agent, headers: { ...headers, 'Content-Length': body.length } },
      (response) => {
        response.resume();
        response.once('end', () => {
          latenciesUs.push((performance.now() - startedMs) * 1_000);
          if (response.statusCode! >= 400) badStatus += 1;
          resolve();
        });
      },
    );
    post.once('error', () => {
      broken += 1;
      resolve();
    });
    post.end(body);
  });
}

async function caller(endMs: number): Promise<void> {
  while (performance.now() < endMs) await ask();
}

async function main(): Promise<void> {
  const startedMs = performance.now();
  const endMs = startedMs + Number(seconds) * 1_000;
  await Promise.all(Array.from({ length: Number(connections) }, () => caller(endMs)));
  const result: LoadResult = {
    requests: latenciesUs.length,
    seconds: (performance.now() - startedMs) / 1_000,
    p50Us: Math.round(quantile(latenciesUs, 0.5)),
    p99Us: Math.round(quantile(latenciesUs, 0.99)),
    maxUs: Math.round(quantile(latenciesUs, 1)),
    badStatus,
    broken,
  };
  process.stdout.write(`MEASURED ${JSON.stringify(result)}\n`, () => process.exit(0));
}

void main();
