import type { LauncherFacts } from "./instance-ports.ts";
import type { Check } from "./preflight.ts";
import type { Usage } from "./stats.ts";

/** What the recovery at the last start found and did. */
export interface RecoveryReport {
  at: string;
  milliseconds: number;
  adopted: string[];
  ended: string[];
  lost: string[];
  rebooted: string[];
  orphansStopped: string[];
  directoriesRemoved: string[];
  problems: string[];
}

/** How busy the host is. */
export interface HostLoad {
  cpus: number;
  /** Over 1, 5 and 15 minutes. */
  loadAverage: number[];
  memory: { totalBytes: number; availableBytes: number };
  pressure: Usage["pressure"];
}

export interface InfoReport {
  version: string;
  node: string;
  sqlite: string;
  kernel: string;
  pid: number;
  bootId: string;
  startedAt: string;
  settings: Record<string, string | number | boolean | null>;
  host: HostLoad;
  launcher: LauncherFacts | null;
  sandboxes: Record<string, number>;
  recovery: RecoveryReport | null;
}

/** What the daemon says about itself and its host. */
export interface Info {
  report(): Promise<InfoReport>;
  preflight(): Promise<Check[]>;
  /** Whether requests can be served: recovered, not shutting down. */
  readiness(): { ready: boolean; detail: string };
}
