import type { ErrorCode } from '../../../workflows/domain/errors';
import { ERRORS } from '../../../workflows/domain/errors';
import type { Schema } from './openapi-schemas';
import { ref, SCHEMAS } from './openapi-schemas';

type Json = Readonly<Record<string, unknown>>;

/** What asking for a model may meet, and what inferring with it may meet beside that. */
const MODEL_CODES: readonly ErrorCode[] = ['MODEL_UNKNOWN', 'MODEL_NOT_READY'];
const INFER_CODES: readonly ErrorCode[] = [
  ...MODEL_CODES,
  'REQUEST_INVALID',
  'REQUEST_TOO_LARGE',
  'UNSUPPORTED_MEDIA',
  'INPUT_INVALID',
  'INFERENCE_FAILED',
  'OVERLOADED',
  'DEADLINE_EXCEEDED',
];

const json = (schema: Schema): Json => ({ 'application/json': { schema } });

const HEADER_LENGTH: Json = {
  description: 'Bytes of JSON at the beginning of the body; binary tensors follow it in the order of the JSON.',
  schema: { type: 'integer', minimum: 0 },
};

interface Operation {
  readonly summary: string;
  readonly ok: Json;
  readonly codes?: readonly ErrorCode[];
  readonly body?: Json;
  readonly bodyRequired?: boolean;
  readonly headers?: readonly Json[];
  readonly others?: Json;
}

function operation({ summary, ok, codes = [], body, bodyRequired = true, headers, others = {} }: Operation): Json {
  return {
    summary,
    ...(headers ? { parameters: headers } : {}),
    ...(body ? { requestBody: { required: bodyRequired, content: body } } : {}),
    responses: { 200: { description: 'Answered.', ...ok }, ...others, ...problems(codes) },
  };
}

/** One response for each status, with the codes that have it. */
function problems(codes: readonly ErrorCode[]): Json {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of codes) byStatus.set(ERRORS[code].http, [...(byStatus.get(ERRORS[code].http) ?? []), code]);
  return Object.fromEntries(
    [...byStatus].map(([status, own]) => [
      status,
      {
        description: own.map((code) => `\`${code}\`: ${ERRORS[code].advice}`).join(' '),
        content: json({ allOf: [ref('Problem'), { properties: { code: { enum: own } } }] }),
      },
    ]),
  );
}

const page = (summary: string, schema: Schema, codes: readonly ErrorCode[] = []): Json =>
  operation({ summary, ok: { content: json(schema) }, codes });

const INFER = operation({
  summary: 'Scores rows: JSON tensors, or binary ones behind the JSON.',
  body: { ...json(ref('InferRequest')), 'application/octet-stream': {} },
  headers: [{ name: 'Inference-Header-Content-Length', in: 'header', required: false, ...HEADER_LENGTH }],
  ok: {
    headers: { 'Inference-Header-Content-Length': HEADER_LENGTH },
    content: { ...json(ref('InferResponse')), 'application/octet-stream': {} },
  },
  codes: INFER_CODES,
});

const PREDICT = operation({
  summary: 'Scores rows given as objects by feature name.',
  body: json(ref('PredictRequest')),
  ok: { content: json(ref('PredictResponse')) },
  codes: INFER_CODES,
});

const index = page('The models that are followed, and whether each is served.', ref('RepositoryIndex'));
const metadata = page(
  'Inputs with type, unit, range and categories; output; versions.',
  ref('ModelMetadata'),
  MODEL_CODES,
);
const modelReady = page('Whether the model can answer.', ref('ModelReady'), MODEL_CODES);

const pathParameter = (name: string, description: string): Json => ({
  name,
  in: 'path',
  required: true,
  description,
  schema: { type: 'string' },
});
const NAMES = [pathParameter('project', 'Project of the model.'), pathParameter('model', 'Name in its project.')];
const VERSION = pathParameter('version', 'A version that is served; for inference the champion’s.');

function ofModel(path: string, operations: Json): readonly [string, Json] {
  const parameters = path.includes('{version}') ? [...NAMES, VERSION] : NAMES;
  return [path, { parameters, ...operations }];
}

const V2 = '/v2/models/{project}/{model}';
const V1 = '/v1/models/{project}/{model}';

/** What this server answers, as an OpenAPI 3.1 document. */
export const OPEN_API = {
  openapi: '3.1.0',
  info: {
    title: 'Slipway gateway',
    version: '2',
    description:
      'The Open Inference Protocol V2, and rows by feature name (V1). `{project}%2F{model}` is one name too. Every error is a `Problem`.',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  paths: {
    '/v2': { get: page('The server.', ref('ServerMetadata')) },
    '/v2/health/live': { get: page('Whether the process answers.', ref('Live')) },
    '/v2/health/ready': {
      get: operation({
        summary: 'Whether it can serve what it follows.',
        ok: { content: json(ref('Ready')) },
        others: { 503: { description: 'Not yet, or not any more.', content: json(ref('Ready')) } },
      }),
    },
    '/v2/repository/index': {
      get: index,
      post: operation({
        summary: 'The models that are followed, or those that are ready.',
        body: json(ref('IndexRequest')),
        bodyRequired: false,
        ok: { content: json(ref('RepositoryIndex')) },
        codes: ['REQUEST_INVALID', 'REQUEST_TOO_LARGE'],
      }),
    },
    ...Object.fromEntries([
      ofModel(V2, { get: metadata }),
      ofModel(`${V2}/ready`, { get: modelReady }),
      ofModel(`${V2}/infer`, { post: INFER }),
      ofModel(`${V2}/versions/{version}`, { get: metadata }),
      ofModel(`${V2}/versions/{version}/ready`, { get: modelReady }),
      ofModel(`${V2}/versions/{version}/infer`, { post: INFER }),
      ofModel(V1, { get: modelReady }),
      ofModel(`${V1}:predict`, { post: PREDICT }),
    ]),
    '/v1/models': { get: page('The models that are served.', ref('ModelList')) },
    '/openapi.json': { get: page('This document.', { type: 'object' }) },
    '/metrics': { get: operation({ summary: 'Prometheus.', ok: { content: { 'text/plain': {} } } }) },
  } as Readonly<Record<string, Json>>,
  components: { schemas: SCHEMAS },
} as const;

let known: string | null = null;

/** The document as it is served. */
export function openApiText(): string {
  return (known ??= JSON.stringify(OPEN_API));
}
