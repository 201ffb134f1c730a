import type { Logger as PinoLogger } from "pino";
import type { Audit } from "../domain/audit.ts";
import type { Backups } from "../domain/backups.ts";
import type { Diagrams } from "../domain/diagrams.ts";
import type { EventLog } from "../domain/events.ts";
import type { Files } from "../domain/files.ts";
import type { IdempotencyStore } from "../domain/idempotency.ts";
import type { Info } from "../domain/info.ts";
import type { Lifetimes } from "../domain/lifetimes.ts";
import type { LiveProcesses } from "../domain/live-processes.ts";
import type { SandboxLogs } from "../domain/logs.ts";
import type { Measurements } from "../domain/measurements.ts";
import type { NamespaceIndex } from "../domain/namespaces.ts";
import type { Operations } from "../domain/operations.ts";
import type { Processes } from "../domain/processes.ts";
import type { Roots } from "../domain/roots.ts";
import type { Runs } from "../domain/runs.ts";
import type { Sandboxes } from "../domain/sandboxes.ts";
import type { SandboxStats } from "../domain/stats.ts";
import type { Tokens } from "../domain/tokens.ts";
import type { Visibility } from "../domain/visibility.ts";
import type { ArchiveLimits } from "./archive-limits.ts";

/** What the routes call. Each room of routes takes what it needs from here; `main.ts` fills it. */
export interface Services {
  sandboxes: Sandboxes;
  lifetimes: Lifetimes;
  files: Files;
  archiveLimits: ArchiveLimits;
  roots: Roots;
  operations: Operations;
  processes: Processes;
  liveProcesses: LiveProcesses;
  runs: Runs;
  namespaces: NamespaceIndex;
  diagrams: Diagrams;
  stats: SandboxStats;
  eventLog: EventLog;
  audit: Audit;
  backups: Backups;
  logs: SandboxLogs;
  info: Info;
  measurements: Measurements;
  idempotency: IdempotencyStore;
  tokens: Tokens;
  visibility: Visibility;
  logger: PinoLogger;
}
