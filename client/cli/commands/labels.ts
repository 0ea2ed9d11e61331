import type { Command } from 'commander';
import { recordLabels } from '../../../infra/labels/labels';
import { readLabelFile } from '../../label-files';
import { withExample } from '../examples';
import { action, type Session } from '../session';

export function addLabels(program: Command): void {
  const labels = program.command('labels').description('what became known about predictions');
  const add = labels
    .command('add <model> <file>')
    .description('record labels of a CSV or Parquet file: request_id, label, event_time, known_at')
    .action(action(addFile));
  withExample(add, 'slipway labels add flights/late-arrival labels.csv');
}

async function addFile(session: Session, model: string, file: string): Promise<void> {
  const rows = await readLabelFile(file);
  const { store } = await session.client();
  const recorded = await recordLabels(store, model, rows);
  const again = recorded.newParts === 0 && recorded.parts > 0 ? ' (all were recorded before)' : '';
  session.result(recorded, [`${recorded.rows} labels in ${recorded.parts} parts${again}`]);
}
