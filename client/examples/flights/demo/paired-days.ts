import { join } from 'node:path';
import { createPredictionReader } from '../../../../infra/predictions/reader';
import { meanLoss, ROW_LOSSES } from '../../../../workflows/domain/statistics/metrics';
import type { PairedDay } from '../../../../workflows/domain/statistics/paired-days';
import { dayOf, type Demo, MODEL } from './context';

const DAY_MS = 86_400_000;

export interface PairedSpan {
  readonly generations: readonly number[];
  readonly challenger: number;
  readonly fromMs: number;
  readonly toMs: number;
}

/** Mean log loss of both arms on the same labelled requests, by day. */
export async function pairedDaysOf(demo: Demo, span: PairedSpan): Promise<PairedDay[]> {
  const reader = createPredictionReader(demo.client.store, join(demo.stack.config.home, 'cache', 'report'));
  const days: PairedDay[] = [];
  for (let at = Math.floor(span.fromMs / DAY_MS) * DAY_MS; at < span.toMs; at += DAY_MS) {
    const rows = await reader.pairedRows({ ...span, model: MODEL, day: dayOf(at), asOfMs: span.toMs });
    if (rows.labels.length < 30) continue;
    const loss = (scores: Float64Array): number => meanLoss(ROW_LOSSES.logLoss, scores, rows.labels) ?? 0;
    days.push({
      day: dayOf(at),
      rows: rows.labels.length,
      championLoss: loss(rows.champion),
      challengerLoss: loss(rows.challenger),
    });
  }
  return days;
}
