/** A one-shot job: its types, and what the domain needs for it from the store. */
import type { View } from "./callers.ts";
import type { DefinitionInput } from "./definition.ts";
import { DomainError, type ErrorCode, type InputFault } from "./errors.ts";
import type { CollectedStream } from "./process-results.ts";

/** `ended`: the command ended, however that was; `failed`: it could not be run, or nobody saw its end. */
export const runStates = ["queued", "running", "ended", "failed", "cancelled"] as const;
export type RunState = (typeof runStates)[number];

/** Bytes as they arrive: text, or base64. */
export type Content = string | { base64?: string };

/** What arrives: either `command` or `script`, which the root's /bin/sh runs. */
export interface RunInput {
  root?: string;
  command?: string[];
  script?: string;
  stdin?: Content;
  /** By absolute path. */
  files?: Record<string, string | { base64?: string; mode?: string }>;
  /** Patterns of absolute paths. */
  collect?: string[];
  env?: Record<string, string>;
  cwd?: string;
  user?: { uid?: number; gid?: number };
  limits?: NonNullable<DefinitionInput["limits"]>;
  seccomp?: NonNullable<DefinitionInput["seccomp"]>;
  timeoutSeconds?: number;
  labels?: Record<string, string>;
}

/** Why the bytes of a file are nowhere: this archive, all archives together, or the state directory have no room for them. */
export const omissionReasons = ["archive-limit", "storage-limit", "no-space"] as const;
export type OmissionReason = (typeof omissionReasons)[number];

/** A file as the command left it: its bytes are here, in the archive, or left out. */
export type CollectedFile = { path: string; sizeBytes: number } & (
  | { data: string; encoding: "utf-8" | "base64" }
  | { archived: true }
  | { truncated: true; reason: OmissionReason }
);

/** The files that an answer has no room for. `bytes`: of the tar archive; `expiresAt`: milliseconds since 1970. */
export interface RunArchive {
  bytes: number;
  files: number;
  expiresAt: number;
}

/** `output-limit`: it wrote more than `limits.outputBytes`, and was killed unless it had ended by then. */
export const runReasons = ["exited", "signaled", "timed-out", "out-of-memory", "output-limit"] as const;
export type RunReason = (typeof runReasons)[number];

/** `cgroup`: of all that ran in the sandbox; `rusage`: of the command and the children that it waited for (getrusage(2)). */
export const runCounters = ["cgroup", "rusage"] as const;
export type RunCounter = (typeof runCounters)[number];

/** What came of a command. Times in seconds. */
export interface RunResult {
  reason: RunReason;
  exit: { code: number | null; signal: string | null };
  stdout: CollectedStream;
  stderr: CollectedStream;
  cpuSeconds: { user: number; system: number };
  wallSeconds: number;
  peakMemoryBytes: number;
  countedBy: { cpu: RunCounter; memory: RunCounter };
  files: CollectedFile[];
  /** Whether `files` is only a part of what matched. */
  filesTruncated: boolean;
  archive: RunArchive | null;
}

/** A DomainError as it is stored. */
export interface RunProblem {
  code: ErrorCode;
  detail: string;
  members: Record<string, unknown>;
  faults: InputFault[];
}

export interface RunRow {
  id: string;
  caller: string;
  state: RunState;
  root: string;
  labels: Record<string, string>;
  sandboxId: string | null;
  result: RunResult | null;
  problem: RunProblem | null;
  createdAt: number;
  startedAt: number | null;
  endedAt: number | null;
}

export interface RunFilter {
  view: View;
  after: string | null;
  limit: number;
  states: readonly RunState[];
  labels: Readonly<Record<string, string>>;
}

export interface RunStore {
  insert(row: RunRow, input: string): void;
  get(id: string): RunRow | null;
  /** What was asked for, as JSON; null once the run is over. */
  input(id: string): string | null;
  /** Writes state, sandbox, result, problem and times; drops the input of one that is over. */
  update(row: RunRow): void;
  /** Oldest first, without their results. */
  list(filter: RunFilter): RunRow[];
  /** Those that wait or are under way, oldest first, with the bytes of their inputs. */
  unfinished(): { row: RunRow; inputBytes: number }[];
  countUnfinished(): { queued: number; running: number };
  /** Drops those that ended before `since`, and of the others all but the newest `count` with `bytes` of results together; gives their ids. */
  prune(since: number, count: number, bytes: number): string[];
}

export const runNotFound = (id: string): DomainError => new DomainError("run-not-found", `there is no run ${id}, or it ended too long ago`);
