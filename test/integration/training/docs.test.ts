import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { CONTRACT, FILES } from '../../../activities/training/contract';
import { createTrainingActivities } from '../../../activities/training/create-training-activities';
import { fitModel } from '../../../infra/onnx/fit-model';
import { MISSING_INT64 } from '../../../infra/onnx/feature-table';
import { parseProgress } from '../../../infra/process/output';
import { parseSpec } from '../../../infra/spec/parse';
import { LOGISTIC, toyFit } from '../../support/onnx/toy-data';
import { toyRun, toySpec } from '../../support/onnx/toy-run';

const root = join(__dirname, '../../..');
const page = readFileSync(join(root, 'docs/training.md'), 'utf8');
const blocks = (language: string): string[] =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map((match) => match[1]!);

describe('docs/training.md', () => {
  it('names every variable and file of the contract, and no other variable', () => {
    for (const name of [...Object.values(CONTRACT), ...Object.values(FILES)]) expect(page).toContain(name);
    const named = new Set(page.match(/SLIPWAY_[A-Z]+/g));
    expect([...named].sort()).toEqual(Object.values(CONTRACT).sort());
    expect(page).toContain(String(MISSING_INT64));
  });

  it('has training sections that a spec may hold', () => {
    const file = join(root, 'client/examples/flights/late-arrival.yaml');
    const base = readFileSync(file, 'utf8').replace(/^training:\n(?: .*\n)+/m, '');
    const sections = blocks('yaml');
    expect(sections).toHaveLength(2);
    for (const section of sections) {
      const kind = (parse(section) as { training: { trainer: { kind: string } } }).training.trainer.kind;
      expect(parseSpec(`${base}\n${section}`, { file }).training.trainer.kind).toBe(kind);
    }
  });

  it('shows a progress line that is one', () => {
    expect(parseProgress(blocks('json')[0]!.trim())).toEqual({
      epoch: 3,
      validationLoss: 0.47,
      checkpoint: 'epoch-3.bin',
    });
  });

  it('shows a smallest trainer that works', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'slipway-docs-'));
    try {
      writeFileSync(join(folder, 'train.sh'), blocks('sh')[0]!);
      chmodSync(join(folder, 'train.sh'), 0o755);
      writeFileSync(join(folder, 'my-model.onnx'), (await fitModel(toyFit(LOGISTIC))).onnx);
      const run = await toyRun(folder, toySpec({ trainer: { kind: 'command', command: ['./train.sh'], folder } }));
      await expect(createTrainingActivities(run).train(run)).resolves.toMatchObject({ trainer: 'command ./train.sh' });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
