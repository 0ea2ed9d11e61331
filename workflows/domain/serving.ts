/** How gateways serve a release. Part of its signed manifest, so that it is reviewed and approved with the model. */
export interface ServingSpec {
  readonly batch: {
    /** Rows that go into one inference at most, 1 to 4,096; beyond 64 only where a row takes little time. */
    readonly maxRows: number;
    /** How long a request may wait for company; 0 waits for none. */
    readonly windowMs: number;
  };
  /** Answers kept by release and inputs; null keeps none. */
  readonly cache: { readonly ttlMs: number; readonly entries: number } | null;
  readonly explain: ExplainSpec;
  /** When answers have calibrated probabilities beside scores; absent: on request. `always` needs a release that has a map. */
  readonly calibration?: CalibrationServing;
  readonly log: {
    /** Share of requests whose rows go to the prediction log, (0, 1]. */
    readonly sample: number;
    /** Features whose values are left out of the log; the monitor cannot watch them. */
    readonly redact: readonly string[];
  };
}

export type CalibrationServing = 'never' | 'request' | 'always';

/** Attributions of an answer to its features: never, where a request asks, or with every answer (regulated paths). */
export interface ExplainSpec {
  readonly when: 'never' | 'request' | 'always';
  /** Inferences that one explanation may cost where it is sampled. */
  readonly evaluations: number;
  /** Features that are named as reasons, the strongest first. */
  readonly reasons: number;
}

export const DEFAULT_SERVING: ServingSpec = {
  batch: { maxRows: 256, windowMs: 0 },
  cache: null,
  explain: { when: 'request', evaluations: 256, reasons: 3 },
  log: { sample: 1, redact: [] },
};
