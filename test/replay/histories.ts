import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createRequire } from 'node:module';
import * as proto from '@temporalio/proto';
import { patchProtobufRoot } from '@temporalio/proto/lib/patch-protobuf-root';

type History = proto.temporal.api.history.v1.IHistory;
type ProtoJson = { toJson(type: unknown, message: unknown): unknown; fromJson(type: unknown, json: unknown): unknown };

/**
 * The SDK's `historyToJSON` fails where npm installed protobufjs twice, beside `common` and beside `proto`: a type of one is none of
 * the other. So this is the same conversion, to the same standard JSON, with the copy that the types are made with.
 */
const { toJson, fromJson } = createRequire(require.resolve('@temporalio/proto'))(
  'protobufjs/ext/protojson',
) as ProtoJson;
const historyType = (patchProtobufRoot(proto) as unknown as { lookupType(name: string): unknown }).lookupType(
  'temporal.api.history.v1.History',
);

const folder = join(__dirname, 'histories');
const root = join(__dirname, '../..');

export interface StoredHistory {
  /** `<workflow>/<feature>-v<version>`. */
  readonly name: string;
  readonly workflowId: string;
  readonly history: History;
  /** As it lies on disk. */
  readonly text: string;
}

export function readHistories(): StoredHistory[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => {
      const text = readFileSync(join(folder, file), 'utf8');
      const { workflowId, history } = JSON.parse(text) as { workflowId: string; history: unknown };
      return {
        name: file.slice(0, -'.json'.length),
        workflowId,
        history: fromJson(historyType, history) as History,
        text,
      };
    });
}

/** Names of machines and processes are left out: they are nobody's business and say nothing. */
export function writeHistory(name: string, workflowId: string, history: History): void {
  const file = join(folder, `${name}.json`);
  mkdirSync(dirname(file), { recursive: true });
  const text = JSON.stringify(
    { workflowId, history: toJson(historyType, proto.temporal.api.history.v1.History.fromObject(history)) },
    anonymous,
    1,
  );
  writeFileSync(file, `${text}\n`);
}

function anonymous(this: unknown, key: string, value: unknown): unknown {
  if (key === 'identity') return 'test';
  if (key === 'stackTrace' && typeof value === 'string') return value.replaceAll(`${root}/`, '');
  const isSticky =
    typeof value === 'object' && value !== null && (value as { kind?: unknown }).kind === 'TASK_QUEUE_KIND_STICKY';
  return isSticky ? { ...value, name: 'sticky' } : value;
}

/** Every payload of a history with its place, decoded sizes in bytes. */
export function payloadsOf(value: unknown, path = ''): { path: string; data: Uint8Array }[] {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return [];
  const { data, metadata } = value as { data?: unknown; metadata?: unknown };
  if (data instanceof Uint8Array && metadata !== undefined) return [{ path, data }];
  return Object.entries(value).flatMap(([key, inner]) => payloadsOf(inner, `${path}/${key}`));
}
