import type { Definition } from "./definition.ts";
import { type Exit, type NamespaceInodes, type NamespaceType, namespaceTypes } from "./instance-ports.ts";
import type { State } from "./lifecycle.ts";
import { namespaceWarnings } from "./namespace-rules.ts";
import type { SandboxRow } from "./sandbox-ports.ts";

/** One namespace of a running sandbox. */
export interface NamespaceReport {
  inode: number;
  hostInode: number | null;
  isolated: boolean;
  path: string;
}

/** What the API says about a sandbox. Everything that names a process or an inode is null unless the main process is alive. */
export interface Report {
  id: string;
  name: string;
  owner: string | null;
  generation: number;
  root: { id: string; name: string } | null;
  labels: Record<string, string>;
  definition: Definition;
  status: { state: State; reason: string | null; message: string | null; since: string };
  process: { pid: number; pidInside: number; startTicks: number; startedAt: string } | null;
  supervisor: { pid: number } | null;
  bootId: string | null;
  ids: { hostUidBase: number; size: number } | null;
  namespaces: Record<NamespaceType, NamespaceReport> | null;
  enter: string | null;
  exit: (Omit<Exit, "exitedAt"> & { exitedAt: string }) | null;
  /** When it ends by itself; null: not at all, and for `idleExpiresAt` also while something is attached to it. */
  lifetime: { expiresAt: string | null; idleExpiresAt: string | null };
  /** `count`: restarts in a row; `nextAt`: when it is started again by itself. */
  restart: { policy: string; count: number; nextAt: string | null };
  phases: { name: string; microseconds: number }[];
  warnings: string[];
  createdAt: string;
  startedAt: string | null;
}

export const isoTime = (milliseconds: number): string => new Date(milliseconds).toISOString();

export const exitReport = <E extends { exitedAt: number }>(exit: E): Omit<E, "exitedAt"> & { exitedAt: string } => ({
  ...exit,
  exitedAt: isoTime(exit.exitedAt),
});

const isoOrNull = (milliseconds: number | null): string | null => (milliseconds === null ? null : isoTime(milliseconds));

/**
 * Whether the row's process and inodes may be shown: the main process has not ended and the row is of this boot. A number of
 * an earlier boot, or of an ended process, may mean something else by now.
 */
export const isCurrent = (row: SandboxRow, bootId: string): boolean =>
  row.instance !== null &&
  row.exit === null &&
  row.bootId === bootId &&
  (row.state === "running" || row.state === "paused" || row.state === "stopping");

const namespacesOf = (row: SandboxRow, hostInodes: NamespaceInodes | null): Record<NamespaceType, NamespaceReport> | null => {
  if (row.instance === null) return null;
  const { pid, inodes, isolated } = row.instance;
  const report = {} as Record<NamespaceType, NamespaceReport>;
  for (const type of namespaceTypes) {
    report[type] = {
      inode: inodes[type],
      hostInode: hostInodes?.[type] ?? null,
      isolated: isolated.includes(type),
      path: `/proc/${pid}/ns/${type}`,
    };
  }
  return report;
};

/** The report on a stored sandbox. */
export const reportOf = (row: SandboxRow, bootId: string, hostInodes: NamespaceInodes | null): Report => {
  const instance = isCurrent(row, bootId) ? row.instance : null;
  return {
    id: row.id,
    name: row.name,
    owner: row.owner,
    generation: row.generation,
    root: row.rootId === null ? null : { id: row.rootId, name: row.rootName ?? row.rootId },
    labels: row.labels,
    definition: row.definition,
    status: { state: row.state, reason: row.reason, message: row.message, since: isoTime(row.since) },
    process: instance && {
      pid: instance.pid,
      pidInside: instance.pidInside,
      startTicks: instance.startTicks,
      startedAt: isoTime(instance.startedAt),
    },
    supervisor: instance && { pid: instance.supervisorPid },
    bootId: instance && row.bootId,
    ids: instance && instance.uidSize > 0 ? { hostUidBase: instance.uidBase, size: instance.uidSize } : null,
    namespaces: instance && namespacesOf(row, hostInodes),
    enter: instance && `nsenter --target ${instance.pid} --all --root --wd`,
    exit: row.exit && exitReport(row.exit),
    lifetime: { expiresAt: isoOrNull(row.schedule.expiresAt), idleExpiresAt: isoOrNull(row.schedule.idleAt) },
    restart: {
      policy: row.definition.restart.policy,
      count: row.schedule.restartCount,
      nextAt: isoOrNull(row.schedule.restartAt),
    },
    phases: row.instance?.phases ?? [],
    warnings: namespaceWarnings(row.definition),
    createdAt: isoTime(row.createdAt),
    startedAt: isoOrNull(row.startedAt),
  };
};
