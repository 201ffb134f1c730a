import type { ErrorCode } from "./errors.ts";
import type { Instance } from "./instance-ports.ts";
import { type RunReason, runReasons } from "./run.ts";

/** Why a run is over: why its command ended, or that it was cancelled or could not be run. */
export const runOutcomes = [...runReasons, "cancelled", "failed"] as const;
export type RunOutcomeName = RunReason | "cancelled" | "failed";

/** Why sandboxes end, each one of these. */
export const endReasons = [
  "exited",
  "signaled",
  "out-of-memory",
  "expired",
  "stopped-by-user",
  "launch-failed",
  "supervisor-lost",
  "host-rebooted",
] as const;

/** What is counted of the database. Both take seconds. */
export interface DatabaseTimes {
  /** A transaction's COMMIT, which writes the log. */
  committed(seconds: number): void;
  /** An fdatasync of the log, for all who wait for it. */
  synced(seconds: number): void;
}

/** Why a client's connection was cut off: its request did not arrive in time, or its answer was not read. */
export const cutReasons = ["request-late", "answer-unread"] as const;
export type CutReason = (typeof cutReasons)[number];

/** How an attempt to send an event to a webhook ended; `dead-letter`: it failed, and was the last for that event. */
export const webhookOutcomes = ["delivered", "failed", "dead-letter"] as const;
export type WebhookOutcome = (typeof webhookOutcomes)[number];

/** What is counted for the operator. Names and units are those of `GET /metrics`. */
export interface Measurements extends DatabaseTimes {
  launched(phases: Instance["phases"]): void;
  launchFailed(code: ErrorCode, layer: string | null): void;
  /** A run of a sandbox, or the attempt at one, is over. */
  ended(reason: string | null): void;
  /** @param route the pattern, not the path, so that the number of series is bounded */
  answered(method: string, route: string, status: number, milliseconds: number): void;
  webhookAttempt(outcome: WebhookOutcome): void;
  connectionCut(reason: CutReason): void;
  /** @param seconds how long it waited for its turn */
  runStarted(seconds: number): void;
  /** @param seconds from its turn to its end, its sandbox made and removed; null where it had no turn, or nobody saw its end */
  runOver(outcome: RunOutcomeName, seconds: number | null): void;
  /** The text format of Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/). */
  text(): Promise<{ contentType: string; body: string }>;
}
