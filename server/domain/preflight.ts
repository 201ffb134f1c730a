import type { Logger } from "./ports.ts";

/**
 * One requirement of the host. `weak`: sandboxes work as they should, and a setting of the host makes what stands around them weaker;
 * `degraded`: works with a cost; `missing`: launches are refused.
 */
export interface Check {
  name: string;
  status: "ok" | "weak" | "degraded" | "missing";
  detail: string;
  /** What is lost where it is not ok. */
  cost: string | null;
  /** How a person mends it. */
  remedy: string | null;
}

export interface Preflight {
  check(): Promise<Check[]>;
}

/** The worst of the checks; what is weak says nothing of whether sandboxes work. */
export const verdictOf = (checks: readonly Check[]): Exclude<Check["status"], "weak"> =>
  checks.some(({ status }) => status === "missing") ? "missing" : checks.some(({ status }) => status === "degraded") ? "degraded" : "ok";

/** Says in the log what is not as it should be. Shells are only just being prepared when a daemon starts. */
export const logChecks = (log: Logger, checks: readonly Check[]): void => {
  for (const check of checks) {
    const mend = check.remedy === null ? "" : `; to mend it: ${check.remedy}`;
    if (check.status === "missing") log.error({ check }, `launches are refused: ${check.name}: ${check.detail}${mend}`);
    if (check.status === "degraded" && check.name !== "ready-shells") log.warn({ check }, `${check.name}: ${check.detail}${mend}`);
  }
  const weak = checks.filter(({ status }) => status === "weak").map(({ name }) => name);
  if (weak.length > 0)
    log.info({ weak }, `settings of this host weaken isolation: ${weak.join(", ")}; GET /v1/preflight says how to mend them`);
};
