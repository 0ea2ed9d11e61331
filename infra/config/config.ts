import { join, resolve } from 'node:path';
import { z } from 'zod';
import { SlipwayError } from '../../workflows/domain/errors';

export type StoreConfig =
  | { readonly kind: 'fs'; readonly root: string }
  | {
      readonly kind: 's3';
      readonly bucket: string;
      readonly prefix: string;
      readonly endpoint: string | null;
      readonly region: string;
    };

/** Everything a process may be told, parsed once in its main. Secrets (S3 keys) stay in the environment of the AWS client. */
export interface SlipwayConfig {
  readonly workspace: string;
  /** Folder of this workspace: `<state>/<workspace>`. */
  readonly home: string;
  readonly store: StoreConfig;
  readonly temporal: { readonly address: string; readonly namespace: string };
  /** JSON file of the WorkspacePolicy: trusted keys and rules. */
  readonly trustFile: string;
  /** Folder of private keys that this process may sign with. */
  readonly keyFolder: string;
  readonly gateway: {
    readonly host: string;
    readonly port: number;
    /** Of V2 over gRPC; null serves none. */
    readonly grpcPort: number | null;
    readonly pollMs: number;
    readonly threads: number;
    /** Of the models that are open together. Absent: a share of the memory that the process may use. */
    readonly memoryBytes?: number;
    readonly id: string;
    /** Longest time that a request may take. */
    readonly timeoutMs: number;
    /** How long a request may have to wait for its turn, by measured speed, before it is refused as too many. */
    readonly maxWaitMs: number;
    /** Processes that share the port. */
    readonly processes: number;
    /** YAML file of callers, tokens, TLS and prices (docs/gateway.md). Absent: everybody is let in, without TLS. */
    readonly file?: string;
  };
  /** YAML file that binds the names of external endpoints to origins (docs/endpoints.md). Absent: none is bound. */
  readonly endpointsFile?: string;
  /** Largest size of the folder of local blob copies that workers and commands of this machine share. */
  readonly blobCacheBytes: number;
  /** Divides every activity time-out; chaos tests set it, so that a killed worker is noticed at once. */
  readonly timeoutDivisor: number;
  /** `host:port` where a worker serves the SDK's Prometheus metrics; null serves none. */
  readonly metricsAddress: string | null;
  /** Version of the workflow code that workers declare to Temporal (worker versioning); null in development: not versioned. */
  readonly buildId: string | null;
  readonly logLevel: 'silent' | 'error' | 'warn' | 'info' | 'debug';
}

const port = z.coerce.number().int().min(0).max(65_535);

const environment = z.object({
  SLIPWAY_WORKSPACE: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,31}$/, 'must be 1 to 32 of a-z, 0-9 and -, starting with a letter')
    .default('dev'),
  SLIPWAY_STATE: z.string().default('.slipway'),
  SLIPWAY_STORE: z
    .string()
    .regex(/^(fs:.+|s3:\/\/[^/]+(\/.*)?)$/, 'must be fs:<folder> or s3://<bucket>/<prefix>')
    .optional(),
  SLIPWAY_S3_ENDPOINT: z.url().optional(),
  AWS_REGION: z.string().default('us-east-1'),
  TEMPORAL_ADDRESS: z.string().default('127.0.0.1:7233'),
  TEMPORAL_NAMESPACE: z.string().optional(),
  SLIPWAY_TRUST: z.string().optional(),
  SLIPWAY_KEYS: z.string().optional(),
  SLIPWAY_GATEWAY_HOST: z.string().default('127.0.0.1'),
  SLIPWAY_GATEWAY_PORT: port.default(8080),
  SLIPWAY_GATEWAY_GRPC_PORT: port.optional(),
  SLIPWAY_GATEWAY_POLL_MS: z.coerce.number().int().min(50).max(60_000).default(500),
  SLIPWAY_GATEWAY_THREADS: z.coerce.number().int().min(1).max(64).default(1),
  SLIPWAY_GATEWAY_MEMORY_MB: z.coerce.number().int().min(1).optional(),
  SLIPWAY_GATEWAY_ID: z
    .string()
    .regex(/^[a-z0-9-]{1,48}$/)
    .default('gateway-1'),
  SLIPWAY_GATEWAY_TIMEOUT_MS: z.coerce.number().int().min(1).max(600_000).default(30_000),
  SLIPWAY_GATEWAY_MAX_WAIT_MS: z.coerce.number().int().min(1).max(600_000).default(250),
  SLIPWAY_GATEWAY_FILE: z.string().min(1).optional(),
  SLIPWAY_ENDPOINTS_FILE: z.string().min(1).optional(),
  SLIPWAY_GATEWAY_PROCESSES: z.coerce.number().int().min(1).max(64).default(1),
  SLIPWAY_BLOB_CACHE_GIB: z.coerce.number().positive().default(20),
  SLIPWAY_TIMEOUT_DIVISOR: z.coerce.number().positive().default(1),
  SLIPWAY_METRICS_ADDRESS: z
    .string()
    .regex(/^[^:]+:\d+$/, 'must be host:port')
    .optional(),
  SLIPWAY_BUILD_ID: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,128}$/)
    .optional(),
  SLIPWAY_LOG_LEVEL: z.enum(['silent', 'error', 'warn', 'info', 'debug']).default('info'),
});

/** Throws SlipwayError CONFIG_INVALID that names each wrong variable. */
export function parseConfig(env: Readonly<Record<string, string | undefined>>): SlipwayConfig {
  const parsed = environment.safeParse(env);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new SlipwayError('CONFIG_INVALID', problems.join('; '));
  }
  const values = parsed.data;
  const home = resolve(values.SLIPWAY_STATE, values.SLIPWAY_WORKSPACE);
  return {
    workspace: values.SLIPWAY_WORKSPACE,
    home,
    store: parseStore(values, home),
    temporal: {
      address: values.TEMPORAL_ADDRESS,
      namespace: values.TEMPORAL_NAMESPACE ?? `slipway-${values.SLIPWAY_WORKSPACE}`,
    },
    trustFile: resolve(values.SLIPWAY_TRUST ?? join(home, 'trust.json')),
    keyFolder: resolve(values.SLIPWAY_KEYS ?? join(home, 'keys')),
    gateway: {
      host: values.SLIPWAY_GATEWAY_HOST,
      port: values.SLIPWAY_GATEWAY_PORT,
      grpcPort: values.SLIPWAY_GATEWAY_GRPC_PORT ?? null,
      pollMs: values.SLIPWAY_GATEWAY_POLL_MS,
      threads: values.SLIPWAY_GATEWAY_THREADS,
      ...(values.SLIPWAY_GATEWAY_MEMORY_MB ? { memoryBytes: values.SLIPWAY_GATEWAY_MEMORY_MB * 2 ** 20 } : {}),
      id: values.SLIPWAY_GATEWAY_ID,
      timeoutMs: values.SLIPWAY_GATEWAY_TIMEOUT_MS,
      maxWaitMs: values.SLIPWAY_GATEWAY_MAX_WAIT_MS,
      processes: values.SLIPWAY_GATEWAY_PROCESSES,
      ...(values.SLIPWAY_GATEWAY_FILE ? { file: resolve(values.SLIPWAY_GATEWAY_FILE) } : {}),
    },
    ...(values.SLIPWAY_ENDPOINTS_FILE ? { endpointsFile: resolve(values.SLIPWAY_ENDPOINTS_FILE) } : {}),
    blobCacheBytes: Math.round(values.SLIPWAY_BLOB_CACHE_GIB * 2 ** 30),
    timeoutDivisor: values.SLIPWAY_TIMEOUT_DIVISOR,
    metricsAddress: values.SLIPWAY_METRICS_ADDRESS ?? null,
    buildId: values.SLIPWAY_BUILD_ID ?? null,
    logLevel: values.SLIPWAY_LOG_LEVEL,
  };
}

function parseStore(values: z.infer<typeof environment>, home: string): StoreConfig {
  const text = values.SLIPWAY_STORE ?? `fs:${join(home, 'store')}`;
  if (text.startsWith('fs:')) return { kind: 'fs', root: resolve(text.slice('fs:'.length)) };
  const url = new URL(text);
  const prefix = url.pathname.replace(/^\/+|\/+$/g, '');
  return {
    kind: 's3',
    bucket: url.hostname,
    prefix: prefix || values.SLIPWAY_WORKSPACE,
    endpoint: values.SLIPWAY_S3_ENDPOINT ?? null,
    region: values.AWS_REGION,
  };
}
