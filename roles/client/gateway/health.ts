/** Whether the gateway can answer anybody. @module */

/** What `/health` says. */
export interface HealthReport {
  /** `ok` if a request may well be answered. */
  readonly status: "ok" | "unavailable";
  /** Why it may not. */
  readonly reasons: readonly string[];
  /** Peers connected. */
  readonly peers: number;
  /** Executors known. */
  readonly executors: number;
  /** Of these, with a model that can be asked now. */
  readonly available: number;
  /** Requests being answered. */
  readonly active: number;
}

/** What health is told from. */
export interface HealthFacts {
  /** Peers connected. */
  readonly peers: number;
  /** Executors known, and those with a model that can be asked now. */
  readonly executors: { readonly known: number; readonly available: number };
  /** Requests being answered. */
  readonly active: number;
}

/** How it is. */
export function healthReport({ peers, executors, active }: HealthFacts): HealthReport {
  const { known, available } = executors;
  const reasons = [
    ...(peers === 0 ? ["no peer is connected"] : []),
    ...(known === 0
      ? ["no executor is known yet"]
      : available === 0
      ? ["no executor has a model available"]
      : []),
  ];
  const status = reasons.length === 0 ? "ok" : "unavailable";
  return { status, reasons, peers, executors: known, available, active };
}
