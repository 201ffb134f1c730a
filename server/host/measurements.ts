import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { ErrorCode } from "../domain/errors.ts";
import type { Instance, Launcher } from "../domain/instance-ports.ts";
import { states } from "../domain/lifecycle.ts";
import {
  type CutReason,
  cutReasons,
  endReasons,
  type Measurements,
  type RunOutcomeName,
  runOutcomes,
  type WebhookOutcome,
  webhookOutcomes,
} from "../domain/measurements.ts";
import type { OperationStore } from "../domain/root-ports.ts";
import type { RunStore } from "../domain/run.ts";
import type { SandboxStore } from "../domain/sandbox-ports.ts";

const launchSeconds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5];
const requestSeconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30];
const runSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600];

const commitSeconds = [0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1, 5];

/** Where what is looked up is found. */
export interface Measured {
  launcher: Launcher;
  sandboxes: Pick<SandboxStore, "countByState">;
  runs: Pick<RunStore, "countUnfinished">;
  operations: Pick<OperationStore, "counts">;
  database: { size(): { database: number; log: number } };
}

/** The numbers behind `GET /metrics`. What can be looked up is looked up when it is asked for, so it never runs behind. */
export class PrometheusMeasurements implements Measurements {
  readonly #registry = new Registry();
  readonly #measured: Measured;
  readonly #sandboxes: Gauge<"state">;
  readonly #readyShells: Gauge;
  readonly #readyTarget: Gauge;
  readonly #phases: Histogram<"phase">;
  readonly #failures: Counter<"code" | "layer">;
  readonly #requests: Histogram<"method" | "route" | "status">;
  readonly #ends: Counter<"reason">;
  readonly #cuts: Counter<"reason">;
  readonly #webhookAttempts: Counter<"outcome">;
  readonly #operations: Gauge<"kind" | "state">;
  readonly #databaseBytes: Gauge<"file">;
  readonly #commits: Histogram;
  readonly #syncs: Histogram;
  readonly #runs: Gauge<"state">;
  readonly #runsOver: Counter<"outcome">;
  readonly #runWaits: Histogram;
  readonly #runTimes: Histogram;

  constructor(measured: Measured) {
    const registers = [this.#registry];
    this.#measured = measured;
    // Each look at the event loop wakes the daemon: ten a second instead of a hundred.
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: 100 });
    this.#sandboxes = new Gauge({ name: "unshared_sandboxes", help: "Stored sandboxes by state.", labelNames: ["state"], registers });
    this.#readyShells = new Gauge({ name: "unshared_ready_shells", help: "Prepared shells that wait for a launch.", registers });
    this.#readyTarget = new Gauge({ name: "unshared_ready_shells_target", help: "Prepared shells that the launcher keeps.", registers });
    this.#phases = new Histogram({
      name: "unshared_launch_phase_seconds",
      help: "Time of each phase of a launch, as the supervisor measured it; `prepare` only where no shell was ready.",
      labelNames: ["phase"],
      buckets: launchSeconds,
      registers,
    });
    this.#failures = new Counter({
      name: "unshared_launch_failures_total",
      help: "Launches that failed, by problem code and by the layer that could not be applied.",
      labelNames: ["code", "layer"],
      registers,
    });
    this.#ends = new Counter({
      name: "unshared_sandboxes_ended_total",
      help: "Runs of sandboxes that are over, by why.",
      labelNames: ["reason"],
      registers,
    });
    for (const reason of endReasons) this.#ends.inc({ reason }, 0);
    this.#cuts = new Counter({
      name: "unshared_http_connections_cut_total",
      help: "Connections that were cut off: a request that did not arrive in time, an answer that was not read.",
      labelNames: ["reason"],
      registers,
    });
    this.#webhookAttempts = new Counter({
      name: "unshared_webhook_attempts_total",
      help: "Attempts to send an event to a webhook, by how they ended.",
      labelNames: ["outcome"],
      registers,
    });
    for (const outcome of webhookOutcomes) this.#webhookAttempts.inc({ outcome }, 0);
    for (const reason of cutReasons) this.#cuts.inc({ reason }, 0);
    this.#operations = new Gauge({
      name: "unshared_operations",
      help: "Stored operations by kind and state.",
      labelNames: ["kind", "state"],
      registers,
    });
    this.#databaseBytes = new Gauge({
      name: "unshared_database_bytes",
      help: "Size of the database and of its write-ahead log.",
      labelNames: ["file"],
      registers,
    });
    this.#commits = new Histogram({
      name: "unshared_database_commit_seconds",
      help: "Time of a transaction's COMMIT, which writes the log.",
      buckets: commitSeconds,
      registers,
    });
    this.#syncs = new Histogram({
      name: "unshared_database_sync_seconds",
      help: "Time until the log is on the disk, for all who wait for that together.",
      buckets: commitSeconds,
      registers,
    });
    this.#requests = new Histogram({
      name: "unshared_http_request_seconds",
      help: "Time from a request's head to the end of its answer.",
      labelNames: ["method", "route", "status"],
      buckets: requestSeconds,
      registers,
    });
    this.#runs = new Gauge({ name: "unshared_runs", help: "Runs that wait or are under way.", labelNames: ["state"], registers });
    this.#runsOver = new Counter({
      name: "unshared_runs_ended_total",
      help: "Runs that are over, by why their command ended, or that they were cancelled or failed.",
      labelNames: ["outcome"],
      registers,
    });
    for (const outcome of runOutcomes) this.#runsOver.inc({ outcome }, 0);
    this.#runWaits = new Histogram({
      name: "unshared_run_wait_seconds",
      help: "How long runs waited for their turn.",
      buckets: runSeconds,
      registers,
    });
    this.#runTimes = new Histogram({
      name: "unshared_run_seconds",
      help: "Time from a run's turn to its end, its sandbox made and removed.",
      buckets: runSeconds,
      registers,
    });
  }

  launched(phases: Instance["phases"]): void {
    for (const { name, microseconds } of phases) this.#phases.observe({ phase: name }, microseconds / 1e6);
  }

  launchFailed(code: ErrorCode, layer: string | null): void {
    this.#failures.inc({ code, layer: layer ?? "none" });
  }

  ended(reason: string | null): void {
    this.#ends.inc({ reason: reason ?? "none" });
  }

  committed(seconds: number): void {
    this.#commits.observe(seconds);
  }

  synced(seconds: number): void {
    this.#syncs.observe(seconds);
  }

  answered(method: string, route: string, status: number, milliseconds: number): void {
    this.#requests.observe({ method, route, status }, milliseconds / 1000);
  }

  webhookAttempt(outcome: WebhookOutcome): void {
    this.#webhookAttempts.inc({ outcome });
  }

  connectionCut(reason: CutReason): void {
    this.#cuts.inc({ reason });
  }

  runStarted(seconds: number): void {
    this.#runWaits.observe(Math.max(0, seconds));
  }

  runOver(outcome: RunOutcomeName, seconds: number | null): void {
    this.#runsOver.inc({ outcome });
    if (seconds !== null) this.#runTimes.observe(Math.max(0, seconds));
  }

  async text(): Promise<{ contentType: string; body: string }> {
    const { launcher, sandboxes, runs, operations, database } = this.#measured;
    const counts = sandboxes.countByState();
    for (const state of states) this.#sandboxes.set({ state }, counts[state] ?? 0);
    for (const [state, count] of Object.entries(runs.countUnfinished())) this.#runs.set({ state }, count);
    this.#operations.reset();
    for (const { kind, state, count } of operations.counts()) this.#operations.set({ kind, state }, count);
    for (const [file, bytes] of Object.entries(database.size())) this.#databaseBytes.set({ file }, bytes);
    // A launcher that does not answer has no shells ready.
    const facts = await launcher.facts().catch(() => null);
    this.#readyShells.set(facts?.readyShells ?? 0);
    this.#readyTarget.set(facts?.readyTarget ?? 0);
    return { contentType: this.#registry.contentType, body: await this.#registry.metrics() };
  }
}
