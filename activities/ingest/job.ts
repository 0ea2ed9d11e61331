import type { ErrorCode } from '../../workflows/domain/errors';
import type { Profile } from '../../workflows/domain/profile';
import type { SplitName } from '../../workflows/domain/run';
import type { ModelSpec } from '../../workflows/domain/spec';

/** What the child is told. It writes nothing outside its folder. */
export interface IngestJob {
  readonly spec: ModelSpec;
  /** RFC 3339. */
  readonly asOf: string;
  /** The source is a holdout: it is not split, and its profile is the reference. */
  readonly holdoutOnly?: boolean;
  readonly threads: number;
  /** DuckDB's share of the child's memory. */
  readonly memoryMb: number;
}

export const QUARANTINE_FILE = 'quarantine.parquet';
export const splitFile = (split: SplitName): string => `${split}.parquet`;

/** What the child found. */
export type IngestReport =
  | { readonly ok: true; readonly quarantine: Quarantined; readonly snapshot: IngestedSnapshot }
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string; readonly quarantine: Quarantined };

/** Bad rows by reason; the file is there where `rows` is above 0. */
export interface Quarantined {
  readonly rows: number;
  readonly reasons: Readonly<Record<string, number>>;
}

export interface IngestedSnapshot {
  /** Hex SHA-256 of the canonical rows and columns. */
  readonly rowsDigest: string;
  readonly splits: Readonly<Record<SplitName, IngestedSplit>>;
  readonly leftOut: Readonly<Record<string, number>>;
  readonly profile: Profile;
}

export interface IngestedSplit {
  readonly rows: number;
  /** First and last event time, RFC 3339; null where it has no rows. */
  readonly from: string | null;
  readonly to: string | null;
}

/** One line of the child's progress. */
export interface IngestProgress {
  readonly stage: string;
  readonly rows: number;
}
