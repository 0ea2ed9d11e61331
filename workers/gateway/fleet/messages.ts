/** Between the process that holds the port and those that serve it. */
export type MemberMessage =
  /** Somebody asked this member for everybody's metrics. */
  | { readonly slipway: 'metrics-wanted'; readonly request: number }
  | { readonly slipway: 'metrics-own'; readonly request: number; readonly text: string };

export type FleetMessage =
  | { readonly slipway: 'metrics-tell'; readonly request: number }
  | { readonly slipway: 'metrics-all'; readonly request: number; readonly texts: readonly string[] };

export function isOurs<M extends { readonly slipway: string }>(message: unknown): message is M {
  return typeof message === 'object' && message !== null && 'slipway' in message;
}
