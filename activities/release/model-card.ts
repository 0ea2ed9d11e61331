import type { RegisterInput } from '../../workflows/lifecycle.activities';
import type { ModelSpec } from '../../workflows/domain/spec';
import type { SnapshotManifest } from '../../workflows/domain/run';

export interface ModelCardInput {
  readonly register: RegisterInput;
  readonly spec: ModelSpec;
  readonly snapshot: SnapshotManifest | null;
  readonly approvalsRequired: number;
  readonly production: boolean;
}

/** What a reader needs to decide whether to use a release, as Markdown; the same input gives the same text, to the byte. */
export function writeModelCard(input: ModelCardInput): string {
  const { register, spec } = input;
  const sections = [
    [`# ${spec.model}`, spec.description || 'No description was given.', `Owner: ${spec.owner || 'not named'}.`],
    ['## Purpose', purposeOf(spec)],
    ['## Data', ...dataLines(input)],
    ...(register.training.kind === 'endpoint' ? [['## Served by', ...endpointLines(register)]] : []),
    ['## Metrics on the holdout', metricsTable(register.evaluation.metrics)],
    ['## Gates', gatesTable(register)],
    ['## Inputs', inputsTable(spec)],
    ['## Limits', ...limitLines(input)],
    ['## Lineage', lineageTable(input)],
  ];
  return `${sections.map((lines) => lines.join('\n\n')).join('\n\n')}\n`;
}

function purposeOf(spec: ModelSpec): string {
  const what =
    spec.task === 'binary'
      ? `the probability that \`${spec.label.column}\` is 1`
      : `the value of \`${spec.label.column}\``;
  return `Given the inputs below, it gives ${what}.`;
}

function dataLines({ register, snapshot }: ModelCardInput): string[] {
  if (!register.ingest || !snapshot) return ['The model was trained elsewhere; its training data is not known here.'];
  const rows = (['train', 'validation', 'holdout'] as const).map((name) => {
    const split = snapshot.splits[name];
    return [name, String(split.rows), split.from ?? '', split.to ?? ''];
  });
  return [
    `Rows known before ${register.request.asOf}; ${register.ingest.rows.quarantined} rows were quarantined.`,
    table(['split', 'rows', 'from', 'to'], rows),
  ];
}

/** Approvers must not take a name for bytes. */
function endpointLines({ training }: RegisterInput): string[] {
  return [
    `This release is an ${cell(training.trainer)}. Slipway does not hold the model's bytes: it holds the server to the answers that were measured here.`,
    `Its descriptor is ${training.onnx}.`,
  ];
}

function metricsTable(metrics: Readonly<Record<string, number>>): string {
  const names = Object.keys(metrics).sort();
  if (names.length === 0) return 'None were measured.';
  return table(
    ['metric', 'value'],
    names.map((name) => [name, rounded(metrics[name] ?? null)]),
  );
}

function gatesTable(register: RegisterInput): string {
  const rows = register.judged.gates.map(({ gate, outcome, value, bound, detail }) => [
    gate,
    outcome,
    rounded(value),
    rounded(bound),
    detail,
  ]);
  return table(['gate', 'outcome', 'value', 'bound', 'detail'], rows);
}

function inputsTable(spec: ModelSpec): string {
  const rows = spec.features.map(({ name, type, unit, range, values, nullable }) => [
    name,
    type,
    unit,
    range ? `${range[0]} to ${range[1]}` : (values?.join(', ') ?? ''),
    nullable ? 'yes' : 'no',
  ]);
  return table(['input', 'type', 'unit', 'allowed', 'may be missing'], rows);
}

function limitLines({ spec, approvalsRequired, production }: ModelCardInput): string[] {
  return [
    'Inputs outside the declared types, units, ranges and categories were not seen in training.',
    `A label counts as lost after ${spec.label.maturityMs / 3_600_000} h; quality is judged on matured labels only.`,
    production
      ? `Approvals required: ${approvalsRequired}.`
      : `Not for production. Approvals required: ${approvalsRequired}.`,
  ];
}

function lineageTable({ register, spec }: ModelCardInput): string {
  const { request, training, ingest, judged, startedBy } = register;
  return table(
    ['what', 'value'],
    [
      ['run', request.run],
      ['cause', request.cause],
      ['started by', startedBy],
      ['commit', request.commit],
      ['spec', request.spec],
      ['snapshot', ingest?.snapshot ?? 'none'],
      ['trainer', training.trainer],
      ['seed', String(spec.training.seed)],
      ['machine class', training.machineClass],
      ['model', training.onnx],
      ['evidence', judged.evidence],
    ],
  );
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Names and details come from specs and data: they must not break the table, nor be read as HTML. */
function cell(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/[|\\]/g, '\\$&').replace(/</g, '&lt;');
}

function rounded(value: number | null): string {
  return value === null ? '' : String(Number(value.toPrecision(6)));
}
