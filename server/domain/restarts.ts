import type { SandboxRow } from "./sandbox-ports.ts";

/** Milliseconds before the first restart and the most before any, jitter aside; each one in a row waits twice as long as the one before. */
const firstMilliseconds = 200;
const mostMilliseconds = 60_000;
/** An instance that ran for so long counts as sound: what ends it begins a new row of restarts. */
export const stableMilliseconds = 10_000;

/**
 * How long the restart after `count` others in a row waits: exponential, of which a random half is taken off, so that many that
 * ended for one reason do not come back as one crowd. Never less than 100 ms.
 * @param random of [0, 1)
 */
export const backoffMilliseconds = (count: number, random: number): number => {
  const whole = Math.min(mostMilliseconds, firstMilliseconds * 2 ** Math.min(count, 30));
  return Math.round(whole * (1 - random / 2));
};

export type RestartDecision = { kind: "none" } | { kind: "restart"; at: number; count: number } | { kind: "given-up"; count: number };

/** Whether its policy is about such an end. A start that a caller asked for and was refused is the caller's to repeat. */
const isWorthy = ({ definition, reason, exit, schedule }: SandboxRow): boolean => {
  const { policy } = definition.restart;
  if (policy === "never" || reason === "stopped-by-user" || reason === "expired") return false;
  if (reason === "launch-failed") return schedule.restartCount > 0;
  if (reason === "exited" && exit?.code === 0) return policy === "always";
  return true;
};

/**
 * What follows the end of a sandbox.
 * @param before as it was, `after` as it is at rest
 * @param random of [0, 1)
 */
export const restartAfter = (before: SandboxRow, after: SandboxRow, now: number, random: number): RestartDecision => {
  const { definition, schedule, startedAt } = after;
  const expires = Math.min(schedule.expiresAt ?? Number.POSITIVE_INFINITY, schedule.idleAt ?? Number.POSITIVE_INFINITY);
  // Whoever asked for its end, a caller or its lifetime, has the last word, whatever ended it in fact.
  if (before.stopBy !== null || expires <= now) return { kind: "none" };
  if (after.reason === "host-rebooted") return definition.autostart ? { kind: "restart", at: now, count: 0 } : { kind: "none" };
  if (!isWorthy(after)) return { kind: "none" };
  const ran = startedAt === null ? 0 : (after.exit?.exitedAt ?? now) - startedAt;
  const count = ran >= stableMilliseconds ? 0 : schedule.restartCount;
  const { maxRetries } = definition.restart;
  if (maxRetries !== null && count >= maxRetries) return { kind: "given-up", count };
  return { kind: "restart", at: now + backoffMilliseconds(count, random), count };
};
