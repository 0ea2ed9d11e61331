/** How one kind of failure looks to every caller. `advice` says what to do next. */
export interface ErrorKind {
  /** HTTP status where it reaches a caller of the gateway. */
  readonly http: number;
  /** Exit code of the CLI. */
  readonly exit: number;
  /** Whether Temporal and clients may try again unchanged. */
  readonly retryable: boolean;
  readonly advice: string;
}

const kind = (http: number, exit: number, retryable: boolean, advice: string): ErrorKind => ({
  http,
  exit,
  retryable,
  advice,
});

/**
 * The one catalogue of error codes; docs/errors.md is held against it by a test. Exit codes: 2 usage or spec, 3 data,
 * 4 refused by policy or signature, 5 gates or verdict against, 6 unavailable, 7 not found, 70 a defect of Slipway.
 */
export const ERRORS = {
  SPEC_INVALID: kind(400, 2, false, 'Correct the spec at the line shown; `slipway spec check` explains each field.'),
  USAGE: kind(400, 2, false, 'See `slipway <command> --help`.'),
  CONFIG_INVALID: kind(500, 2, false, 'Correct the setting named in the message; `slipway doctor` lists them all.'),
  DATA_UNREADABLE: kind(422, 3, false, 'Check that the file is whole and of the declared format.'),
  DATA_SCHEMA: kind(422, 3, false, 'Make the source and the declared columns agree.'),
  DATA_QUARANTINE: kind(
    422,
    3,
    false,
    'Look at the quarantine file named in the message, mend the source or the ranges.',
  ),
  DATA_EMPTY_SPLIT: kind(422, 3, false, 'Widen the data window, or shorten validation and holdout.'),
  DATA_LIMIT: kind(
    422,
    3,
    false,
    'Reading the data went past its memory or time limit; shorten the window, or give the compute worker more.',
  ),
  DATA_LABEL: kind(422, 3, false, 'The label column must exist and hold more than one value.'),
  TRAINING_FAILED: kind(500, 3, false, 'Read the trainer output named in the message.'),
  TRAINING_LIMIT: kind(
    500,
    3,
    false,
    'The trainer went past its memory, time or output limit; raise the limit in the spec or shrink the model.',
  ),
  MODEL_UNREADABLE: kind(
    422,
    3,
    false,
    'Export the model again as the message says: one ONNX file, tensors only, no external data.',
  ),
  MODEL_SIGNATURE: kind(422, 3, false, "Make the graph's inputs and output agree with the signature."),
  KEY_UNKNOWN: kind(403, 4, false, 'Use a key that the workspace trusts; `slipway keys list` shows them.'),
  KEY_REVOKED: kind(403, 4, false, 'The key was revoked or listed as compromised; use another.'),
  SIGNATURE_INVALID: kind(
    403,
    4,
    false,
    'The document was changed after it was signed, or signed for another purpose; sign it again.',
  ),
  ROLE_MISSING: kind(403, 4, false, 'Ask for the role on this project, or let somebody who has it do this.'),
  WORKSPACE_MISMATCH: kind(403, 4, false, 'The document is for another workspace; sign one for this one.'),
  COMMAND_EXPIRED: kind(403, 4, false, 'Sign and send the command again.'),
  COMMAND_REPLAYED: kind(409, 4, false, 'This command was carried out before; send a new one if you mean it.'),
  COMMAND_REFUSED: kind(409, 4, false, 'The message says what stands against it.'),
  APPROVAL_SELF: kind(403, 4, false, 'Somebody who did not start or train the run must approve it.'),
  APPROVAL_DUPLICATE: kind(409, 4, false, 'This person has decided already; another person is needed.'),
  APPROVAL_MISMATCH: kind(
    409,
    4,
    false,
    'The approval names another release or evidence; approve what `slipway status` shows.',
  ),
  APPROVAL_LATE: kind(
    409,
    4,
    false,
    'The run waits for no decision now; `slipway status <model>` says what became of it.',
  ),
  RELEASE_TAMPERED: kind(
    500,
    4,
    false,
    'Bytes and signature disagree; restore the release from a backup, and find out who changed it.',
  ),
  RELEASE_UNAPPROVED: kind(403, 4, false, 'The release lacks valid approvals for this workspace.'),
  AUDIT_BROKEN: kind(
    500,
    4,
    false,
    'The audit chain was changed; the message names the entry. Keep the store as it is and investigate.',
  ),
  GATES_FAILED: kind(
    422,
    5,
    false,
    'Read the gates in `slipway status`; train a better model or change the spec in review.',
  ),
  ROLLOUT_FAILED: kind(409, 5, false, 'The canary was taken back; its verdicts are in `slipway history`.'),
  STORE_UNAVAILABLE: kind(503, 6, true, 'The object store does not answer; nothing was lost, and it is tried again.'),
  STORE_CONFLICT: kind(409, 6, true, 'Another writer was first; read again and decide anew.'),
  STORE_FULL: kind(507, 6, true, 'Free space in the object store; nothing was half written.'),
  STORE_CORRUPT: kind(500, 4, false, 'Bytes do not have the digest they are stored under; restore them from a backup.'),
  TEMPORAL_UNAVAILABLE: kind(503, 6, true, 'Temporal does not answer; check TEMPORAL_ADDRESS or run `slipway up`.'),
  STACK_RUNNING: kind(409, 6, false, 'This workspace is up already; use it, or `slipway down` first.'),
  PORT_TAKEN: kind(409, 6, false, 'End the process named in the message, or choose another port.'),
  TOOL_MISSING: kind(500, 6, false, 'Install what the message names; `slipway doctor` checks again.'),
  NOT_FOUND: kind(404, 7, false, 'Check the name; `slipway status` lists what exists.'),
  MODEL_UNKNOWN: kind(404, 7, false, 'Check the name; GET /v2/repository/index lists the models that are served.'),
  GATEWAY_UNAVAILABLE: kind(
    503,
    6,
    true,
    'No gateway answers there: start one with `slipway up` or `slipway gateway`, or name another with --gateway.',
  ),
  MODEL_TOO_LARGE: kind(
    507,
    6,
    false,
    'Raise SLIPWAY_GATEWAY_MEMORY_MB where the machine has it, serve fewer models from this gateway, or shrink the model.',
  ),
  MODEL_NOT_READY: kind(503, 6, true, 'The release is being loaded; try again shortly.'),
  REQUEST_INVALID: kind(
    400,
    2,
    false,
    "Send a V2 inference request that has the model's inputs; GET the model's metadata.",
  ),
  REQUEST_TOO_LARGE: kind(413, 2, false, 'Send fewer rows in one request.'),
  METHOD_NOT_ALLOWED: kind(405, 2, false, 'Use one of the methods in Allow.'),
  UNSUPPORTED_MEDIA: kind(415, 2, false, 'Send JSON, or V2 binary tensors; plain, or compressed with gzip or deflate.'),
  INPUT_INVALID: kind(422, 2, false, 'Send values within the declared type, unit, range and categories.'),
  INFERENCE_FAILED: kind(
    500,
    6,
    false,
    'The model failed on this input; the request is counted as an error of its arm.',
  ),
  UNAUTHENTICATED: kind(
    401,
    4,
    false,
    'Send an API key (`x-api-key`) or a token (`Authorization: Bearer`) that this gateway knows.',
  ),
  FORBIDDEN: kind(
    403,
    4,
    false,
    'Ask whoever runs the gateway for this model; `callers` in its file lists who may what.',
  ),
  RATE_LIMITED: kind(429, 6, true, 'Wait for the time in Retry-After, or ask for a larger quota.'),
  OVERLOADED: kind(503, 6, true, 'Try again after the time in Retry-After.'),
  ENDPOINT_NOT_BOUND: kind(
    503,
    2,
    false,
    'Bind the name to an origin in the file behind SLIPWAY_ENDPOINTS_FILE of this process (docs/endpoints.md).',
  ),
  ENDPOINT_UNAVAILABLE: kind(
    503,
    6,
    true,
    'The external model server does not answer, or is too busy; see to it, and send it again after Retry-After.',
  ),
  ENDPOINT_TIMEOUT: kind(504, 6, true, "The external model server took longer than its release's `timeout` allows."),
  ENDPOINT_ANSWER_INVALID: kind(
    502,
    3,
    false,
    'Make endpoint.yaml and what the server answers agree; `slipway endpoint check` shows both.',
  ),
  ENDPOINT_CHANGED: kind(
    503,
    4,
    false,
    'The server gives other answers than those that were approved: put back what it served, or import it anew.',
  ),
  DEADLINE_EXCEEDED: kind(504, 6, true, 'Send it again with a longer `timeout`, or when less waits.'),
  CANCELLED: kind(499, 6, true, 'The caller left before its answer; nobody reads this.'),
  INTERNAL: kind(500, 70, false, 'This is a defect of Slipway; report it with the message.'),
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERRORS;

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text);
}

/** The one error class: what was wrong and where in `message`, what to do next from the catalogue. */
export class SlipwayError extends Error {
  override readonly name = 'SlipwayError';
  /** When another try is worthwhile; null where nobody can say. */
  readonly retryAfterMs: number | null;
  /** What to do next: that of the catalogue, where the thrower knows nothing better. It does not travel through Temporal. */
  readonly advice: string;

  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: { cause?: unknown; retryAfterMs?: number; advice?: string },
  ) {
    super(message, options);
    this.retryAfterMs = options?.retryAfterMs ?? null;
    this.advice = options?.advice ?? ERRORS[code].advice;
  }

  get kind(): ErrorKind {
    return ERRORS[this.code];
  }
}
