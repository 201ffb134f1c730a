/** A command started in a running sandbox: its types, and what the domain needs for it from the other rooms. */
import type { Exit } from "./instance-ports.ts";

export const processReasons = ["exited", "signaled", "out-of-memory", "timed-out"] as const;

/** How a process of a sandbox ended. `timed-out`: it was killed because its `timeoutSeconds` were over. */
export type ProcessExit = Omit<Exit, "reason"> & { reason: Exit["reason"] | "timed-out" };

/** What is to be run, every default filled in. */
export interface ProcessDefinition {
  command: string[];
  env: Record<string, string>;
  cwd: string;
  user: { uid: number; gid: number };
  tty: boolean;
  stdin: boolean;
  /** Null: no limit. */
  timeoutSeconds: number | null;
  outputBytes: number;
  labels: Record<string, string>;
}

/** What arrives: either `command` or `script`, which the root's /bin/sh runs. */
export type ProcessInput = Partial<Omit<ProcessDefinition, "user">> & { script?: string; user?: { uid?: number; gid?: number } };

/** `lost`: its end was not seen, because its supervisor was lost or the host was rebooted. */
export const processStates = ["starting", "running", "ended", "lost"] as const;
export type ProcessState = (typeof processStates)[number];

/** The process as the kernel knows it, on the host and inside. */
export interface StartedProcess {
  pid: number;
  pidInside: number;
  startTicks: number;
  startedAt: number;
}

export interface ProcessRow {
  /** `main`, or an id. */
  id: string;
  sandboxId: string;
  definition: ProcessDefinition;
  state: ProcessState;
  started: StartedProcess | null;
  bootId: string;
  exit: ProcessExit | null;
  createdAt: number;
}

export interface ProcessFilter {
  after: string | null;
  limit: number;
  states: readonly ProcessState[];
  labels: Readonly<Record<string, string>>;
}

export interface ProcessStore {
  insert(row: ProcessRow): void;
  get(sandboxId: string, id: string): ProcessRow | null;
  /** Writes what changes at run time: state, what was started, exit. */
  update(row: ProcessRow): void;
  remove(sandboxId: string, id: string): void;
  /** Oldest first. */
  list(sandboxId: string, filter: ProcessFilter): ProcessRow[];
  /** Those that may be alive. */
  alive(sandboxId: string): ProcessRow[];
  /** Sandboxes that have some. */
  aliveIn(): string[];
  /** Drops all but the `kept` that ended last; gives the ids of those dropped. */
  prune(sandboxId: string, kept: number): string[];
}

/** An EXEC, in the words of PROTOCOL.md. */
export interface ExecOrder {
  process: string;
  command: readonly string[];
  env: readonly string[];
  cwd: string;
  uid: number;
  gid: number;
  tty: boolean;
  stdin: boolean;
  timeoutMilliseconds: number;
  outputBytes: number;
}

/** One `process` line of REPORT. */
export interface ReportedProcess {
  id: string;
  started: StartedProcess;
  exit: ProcessExit | null;
}

export type OutputStream = "stdout" | "stderr";

/** Bytes as one read from the process's pipe or terminal brought them: at most 65,536. */
export interface OutputRecord {
  seq: number;
  stream: OutputStream;
  /** Microseconds since 1970. */
  time: number;
  bytes: Buffer;
}

export interface OutputChunk {
  records: readonly OutputRecord[];
  /** The first number still held, or the next to be given out when nothing is held. */
  first: number;
  /** The number that the next record will have. */
  next: number;
  /** No more output will come. */
  ended: boolean;
  /** Null where some were dropped and nobody has counted them. */
  droppedBytes: number | null;
  /** Gives the memory of the records' bytes back; nothing may look into them afterwards. It may be left out. */
  release(): void;
}

export interface OutputRequest {
  /** `held`: from the oldest record there is when it is answered. */
  after: number | "held";
  maxBytes: number;
  /** Answer only when there is something after `after`, or no more will come. */
  wait: boolean;
}

/** The record after the one that was named is held no more. `first`: the first that is; null: nothing of the process is held. */
export class OutputDroppedError extends Error {
  readonly first: number | null;

  constructor(first: number | null) {
    super(first === null ? "no output of the process is held any more" : `output before the record ${first} is held no more`);
    this.first = first;
  }
}

/** The supervisor's end of everything that is done to one process. All throw DomainError `launcher-unavailable` when it does not answer. */
export interface ProcessSupervisors {
  /** @throws DomainError `command-not-found` and its like, `process-limit`, `state-conflict` when the sandbox is no more */
  exec(sandboxId: string, order: ExecOrder): Promise<StartedProcess>;
  /** @throws DomainError `state-conflict` when it has ended, `process-not-found` */
  signal(sandboxId: string, process: string, signal: number, group: boolean): Promise<void>;
  /** Resolves when all bytes are in the pipe or terminal. @throws DomainError `stdin-closed` */
  input(sandboxId: string, process: string, bytes: Buffer, close: boolean): Promise<void>;
  /** @throws DomainError `no-terminal` */
  resize(sandboxId: string, process: string, rows: number, columns: number): Promise<void>;
  /** @throws OutputDroppedError, DomainError `process-not-found` */
  output(sandboxId: string, process: string, request: OutputRequest): Promise<OutputChunk>;
}
