import type { RegisterInput } from '../../workflows/lifecycle.activities';
import type { ModelSpec } from '../../workflows/domain/spec';
import type { CalibrationEvidence, SnapshotManifest } from '../../workflows/domain/run';

export interface ModelCardInput {
  readonly register: RegisterInput;
  readonly spec: ModelSpec;
  readonly snapshot: SnapshotManifest | null;
  readonly approvalsRequired: number;
  readonly production: boolean;
  /** Absent of a regression. */
  readonly calibration?: CalibrationEvidence;
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
    ...(input.calibration ? [['## Calibration', ...calibrationLines(input, input.calibration)]] : []),
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

function calibrationLines(input: ModelCardInput, { map, reason, holdout }: CalibrationEvidence): string[] {
  const about =
    map === null
      ? [`There are no calibrated probabilities: ${reason}.`]
      : map.method === 'identity'
        ? [`Calibrated probabilities are ${reason}.`, validationLine(input)]
        : [`Calibrated probabilities are the score through a map, fitted by ${reason}.`, validationLine(input)];
  if (holdout === null) return about;
  const figures = [
    ['log loss', rounded(holdout.logLossRaw), rounded(holdout.logLossCalibrated)],
    ['calibration error', rounded(holdout.calibrationErrorRaw), rounded(holdout.calibrationErrorCalibrated)],
  ];
  return [...about, table(['on the holdout', 'score', 'through the map'], figures)];
}

/** What else the rows of the map were used for. */
function validationLine({ register, spec }: ModelCardInput): string {
  if (register.request.imported)
    return 'The model was trained elsewhere: whether it has seen the rows of the map is not known here.';
  const chose =
    spec.training.trainer.kind === 'command'
      ? 'The trainer had the rows of the map too, to choose by'
      : 'The rows of the map also chose the epoch whose weights are kept';
  return `${chose}: the map may trust the scores a little too much. The holdout was used for neither.`;
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
