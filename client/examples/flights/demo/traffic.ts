import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LabelRow } from '../../../../infra/labels/labels';
import type { FlightRow } from '../recipe';

export interface TrafficOptions {
  readonly gatewayUrl: string;
  readonly model: string;
  readonly concurrency: number;
  readonly flightsOf: (dayStartMs: number, dayEndMs: number) => Promise<readonly FlightRow[]>;
  readonly recordLabels: (rows: readonly LabelRow[]) => Promise<unknown>;
}

export interface TrafficCounts {
  requests: number;
  answered: number;
  refused: number;
  retried: number;
  readonly byVersion: Record<string, number>;
}

const dayMs = 86_400_000;

/**
 * Replays recorded flights as an HTTP client in the order of their event time, a day at a time, and hands in each label once
 * it would have been known. Like any careful client it sends a request again, under the same id, when a connection breaks.
 */
export class Traffic {
  readonly counts: TrafficCounts = { requests: 0, answered: 0, refused: 0, retried: 0, byVersion: {} };
  /** Start of the first day that was not replayed yet. */
  nextDayMs: number;
  private pending: LabelRow[] = [];
  private readonly agent: Agent;

  constructor(
    private readonly options: TrafficOptions,
    startMs: number,
  ) {
    this.nextDayMs = startMs;
    this.agent = new Agent({ keepAlive: true, maxSockets: options.concurrency });
  }

  /** Plays days until `untilMs` or until `stop` says so; at least `msPerDay` of wall time goes into each day. */
  async play(
    untilMs: number,
    stop: () => boolean | Promise<boolean>,
    msPerDay: number,
    change: (flight: FlightRow) => FlightRow = (flight) => flight,
  ): Promise<void> {
    while (this.nextDayMs < untilMs && !(await stop())) {
      const begun = Date.now();
      await this.playDay(change);
      await sleep(Math.max(0, msPerDay - (Date.now() - begun)));
    }
  }

  close(): void {
    this.agent.destroy();
  }

  private async playDay(change: (flight: FlightRow) => FlightRow): Promise<void> {
    const endMs = this.nextDayMs + dayMs;
    const flights = (await this.options.flightsOf(this.nextDayMs, endMs)).map(change);
    let next = 0;
    const lane = async (): Promise<void> => {
      for (let at = next++; at < flights.length; at = next++) await this.send(flights[at]!);
    };
    await Promise.all(Array.from({ length: this.options.concurrency }, lane));
    this.nextDayMs = endMs;
    await this.handInLabels(endMs);
  }

  private async handInLabels(nowMs: number): Promise<void> {
    const known = this.pending.filter((row) => row.knownAtMs <= nowMs);
    this.pending = this.pending.filter((row) => row.knownAtMs > nowMs);
    if (known.length > 0) await this.options.recordLabels(known);
  }

  private async send(flight: FlightRow): Promise<void> {
    this.counts.requests += 1;
    const body = JSON.stringify(inferenceRequest(flight));
    for (let attempt = 0; attempt < 60; attempt += 1) {
      const answer = await this.post(body).catch(() => null);
      if (answer !== null && answer.status !== 503) {
        this.count(answer);
        const { id: requestId, late: label, departureMs: eventTimeMs, labelKnownAtMs: knownAtMs } = flight;
        this.pending.push({ requestId, label, eventTimeMs, knownAtMs });
        return;
      }
      this.counts.retried += 1;
      await sleep(Math.min(50 * (attempt + 1), 500));
    }
    throw new Error(`the gateway did not answer flight ${flight.id} within 60 tries`);
  }

  private count(answer: { readonly status: number; readonly version: string }): void {
    if (answer.status !== 200) {
      this.counts.refused += 1;
      return;
    }
    this.counts.answered += 1;
    this.counts.byVersion[answer.version] = (this.counts.byVersion[answer.version] ?? 0) + 1;
  }

  private post(body: string): Promise<{ status: number; version: string }> {
    const url = new URL(`/v2/models/${this.options.model}/infer`, this.options.gatewayUrl);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    return new Promise((resolve, reject) => {
      const outgoing = request(url, { method: 'POST', agent: this.agent, headers }, (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('error', reject);
        incoming.on('end', () => {
          const version = /"model_version":"(\d+)"/.exec(Buffer.concat(chunks).toString())?.[1] ?? 'none';
          resolve({ status: incoming.statusCode ?? 0, version });
        });
      });
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }
}

/** V2 inference request with every feature the application has; a model takes those of its signature. */
export function inferenceRequest(flight: FlightRow): object {
  const input = (name: string, datatype: string, value: unknown): object => ({
    name,
    datatype,
    shape: [1, 1],
    data: [value],
  });
  return {
    id: flight.id,
    parameters: { event_time: flight.departureMs },
    inputs: [
      input('departure_local', 'INT64', flight.departureLocalMs),
      input('distance', 'FP32', flight.distance),
      input('origin', 'BYTES', flight.origin),
      input('destination', 'BYTES', flight.destination),
      input('origin_late_rate', 'FP32', flight.originLateRate),
    ],
  };
}
