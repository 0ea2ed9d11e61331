import { ERRORS } from '../../../workflows/domain/errors';

/** A JSON Schema (2020-12), as OpenAPI 3.1 takes it. */
export type Schema = Readonly<Record<string, unknown>>;

const text: Schema = { type: 'string' };
const list = (items: Schema): Schema => ({ type: 'array', items });

/** An object with these members; those of `optional` may be left out, and others may be there only where `isOpen`. */
function object(members: Readonly<Record<string, Schema>>, optional: readonly string[] = [], isOpen = false): Schema {
  return {
    type: 'object',
    properties: members,
    required: Object.keys(members).filter((name) => !optional.includes(name)),
    additionalProperties: isOpen,
  };
}

export function ref(name: keyof typeof SCHEMAS): Schema {
  return { $ref: `#/components/schemas/${name}` };
}

const DATATYPES = [
  ...['BOOL', 'UINT8', 'UINT16', 'UINT32', 'UINT64', 'INT8', 'INT16', 'INT32', 'INT64'],
  ...['FP16', 'BF16', 'FP32', 'FP64', 'BYTES'],
];
const probability: Schema = { type: 'number', exclusiveMinimum: 0, exclusiveMaximum: 1 };
const shape = list({ type: 'integer' });
const parameters: Schema = { type: 'object', additionalProperties: true };
const served = object(
  {
    generation: { type: 'integer', minimum: 1 },
    arm: { enum: ['champion', 'challenger'] },
    release: { type: 'string', pattern: '^sha256:[0-9a-f]{64}$' },
  },
  [],
  true,
);

const tensorMetadata = object({ name: text, datatype: { enum: DATATYPES }, shape, parameters }, ['parameters']);

const requestTensor = object(
  {
    name: text,
    datatype: { enum: DATATYPES },
    shape,
    data: {
      type: 'array',
      description: 'Flat or one list a row; null is missing. Left out where the tensor is binary.',
    },
    parameters,
  },
  ['data', 'parameters'],
  true,
);

const requestedOutput = object(
  {
    name: { ...text, description: '`score`; `calibrated`; or an output of an explanation. All answers have `score`.' },
    parameters,
  },
  ['parameters'],
  true,
);

const responseTensor = object(
  { name: text, datatype: { enum: DATATYPES }, shape, data: { type: 'array' }, parameters },
  ['data', 'parameters'],
);

export const SCHEMAS = {
  Problem: object({ error: text, code: { enum: Object.keys(ERRORS) }, advice: text }),
  Live: object({ live: { const: true } }),
  Ready: object({ ready: { type: 'boolean' } }),
  ServerMetadata: object({ name: text, version: text, extensions: list(text) }, [], true),
  ModelMetadata: object(
    {
      name: text,
      versions: list(text),
      platform: text,
      inputs: list(tensorMetadata),
      outputs: list(tensorMetadata),
      parameters,
    },
    [],
    true,
  ),
  ModelReady: object({ name: text, ready: { const: true } }),
  ModelList: object({ models: list(text) }),
  IndexRequest: object(
    { ready: { type: 'boolean', description: 'true leaves out what is not ready.' } },
    ['ready'],
    true,
  ),
  RepositoryIndex: list(object({ name: text, version: text, state: { enum: ['READY', 'UNAVAILABLE'] }, reason: text })),
  InferRequest: object(
    { id: text, parameters, inputs: list(requestTensor), outputs: list(requestedOutput) },
    ['id', 'parameters', 'outputs'],
    true,
  ),
  InferResponse: object({
    model_name: text,
    model_version: text,
    id: text,
    parameters: served,
    outputs: list(responseTensor),
  }),
  PredictRequest: {
    ...object(
      {
        instances: list({ type: 'object', description: 'Values by feature name.' }),
        keys: list({ type: 'object', description: 'Keys of an entity whose features an online store has.' }),
        parameters,
        id: text,
      },
      ['instances', 'keys', 'parameters', 'id'],
      true,
    ),
    oneOf: [{ required: ['instances'] }, { required: ['keys'] }],
  },
  PredictResponse: object(
    {
      predictions: list({ type: 'number' }),
      calibrated: list({ ...probability, description: 'Where they were asked for, or the release gives them always.' }),
      model_version: text,
      id: text,
      parameters: served,
    },
    ['calibrated'],
    true,
  ),
} as const satisfies Record<string, Schema>;
