/** One requirement of the host. `degraded`: works with a cost; `missing`: launches are refused. */
export interface Check {
  name: string;
  status: "ok" | "degraded" | "missing";
  detail: string;
  /** What is lost where it is not ok. */
  cost: string | null;
  /** How a person mends it. */
  remedy: string | null;
}

export interface Preflight {
  check(): Promise<Check[]>;
}

/** The worst of the checks. */
export const verdictOf = (checks: readonly Check[]): Check["status"] =>
  checks.some(({ status }) => status === "missing") ? "missing" : checks.some(({ status }) => status === "degraded") ? "degraded" : "ok";
