import type { ProcessDefinition, ProcessRow, ProcessState, StartedProcess } from "./process.ts";
import { exitReport, isCurrent, isoTime } from "./reports.ts";
import type { SandboxRow } from "./sandbox-ports.ts";

/** What the API says about a process. Numbers that name it are null unless it is alive. */
export interface ProcessReport extends ProcessDefinition {
  id: string;
  sandbox: { id: string; name: string };
  state: ProcessState;
  pid: number | null;
  pidInside: number | null;
  startTicks: number | null;
  startedAt: string | null;
  exit: ProcessExitReport | null;
  createdAt: string;
}

export type ProcessExitReport = Omit<NonNullable<ProcessRow["exit"]>, "exitedAt"> & { exitedAt: string };

export const processReport = (row: ProcessRow, sandbox: SandboxRow, bootId: string): ProcessReport => {
  const alive = row.state === "running" && row.bootId === bootId ? row.started : null;
  return {
    id: row.id,
    sandbox: { id: sandbox.id, name: sandbox.name },
    ...row.definition,
    state: row.state,
    pid: alive?.pid ?? null,
    pidInside: alive?.pidInside ?? null,
    startTicks: alive?.startTicks ?? null,
    startedAt: row.started === null ? null : isoTime(row.started.startedAt),
    exit: row.exit && exitReport(row.exit),
    createdAt: isoTime(row.createdAt),
  };
};

const mainState = (sandbox: SandboxRow, bootId: string): ProcessState => {
  if (sandbox.exit !== null) return "ended";
  if (sandbox.state === "starting") return "starting";
  return isCurrent(sandbox, bootId) ? "running" : "lost";
};

const startedMain = ({ instance, startedAt }: SandboxRow): StartedProcess | null => {
  if (instance !== null) return instance;
  return startedAt === null ? null : { pid: 0, pidInside: 0, startTicks: 0, startedAt };
};

/** The main process of the sandbox's last run as one process among others; null where it was never started. */
export const mainProcess = (sandbox: SandboxRow, bootId: string): ProcessRow | null => {
  if (sandbox.startedAt === null && sandbox.state !== "starting") return null;
  const { command, env, cwd, user, tty, limits } = sandbox.definition;
  return {
    id: "main",
    sandboxId: sandbox.id,
    definition: { command, env, cwd, user, tty, stdin: true, timeoutSeconds: null, outputBytes: limits.outputBytes, labels: {} },
    state: mainState(sandbox, bootId),
    started: startedMain(sandbox),
    bootId,
    exit: sandbox.exit,
    createdAt: sandbox.startedAt ?? sandbox.since,
  };
};
