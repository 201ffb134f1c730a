import { isoTime } from "./reports.ts";
import type { RunArchive, RunProblem, RunResult } from "./run.ts";
import type { Run } from "./runs.ts";

/** What the API says about a run, without what came of it. */
export interface RunSummary {
  id: string;
  state: Run["state"];
  position: number | null;
  root: string;
  labels: Record<string, string>;
  /** Its sandbox, while there is one. */
  sandbox: string | null;
  problem: RunProblem | null;
  createdAt: string;
  startedAt: string | null;
  endedAt: string | null;
}

/** All that the API says about a run. What came of it is null unless its command has ended. */
export type RunReport = RunSummary & { [K in Exclude<keyof RunResult, "archive">]: RunResult[K] | null } & { archive: ArchiveLink | null };

export interface ArchiveLink extends Omit<RunArchive, "expiresAt"> {
  url: string;
  expiresAt: string;
}

const linkOf = (id: string, { bytes, files, expiresAt }: RunArchive): ArchiveLink => ({
  url: `/v1/runs/${id}/archive`,
  bytes,
  files,
  expiresAt: isoTime(expiresAt),
});

const nothing = {
  reason: null,
  exit: null,
  stdout: null,
  stderr: null,
  cpuSeconds: null,
  wallSeconds: null,
  peakMemoryBytes: null,
  countedBy: null,
  files: null,
  filesTruncated: null,
};

export const runSummary = (run: Run): RunSummary => ({
  id: run.id,
  state: run.state,
  position: run.position,
  root: run.root,
  labels: run.labels,
  sandbox: run.sandboxId,
  problem: run.problem,
  createdAt: isoTime(run.createdAt),
  startedAt: run.startedAt === null ? null : isoTime(run.startedAt),
  endedAt: run.endedAt === null ? null : isoTime(run.endedAt),
});

export const runReport = (run: Run): RunReport => ({
  ...runSummary(run),
  ...nothing,
  ...run.result,
  archive: run.result?.archive ? linkOf(run.id, run.result.archive) : null,
});
