import { sees, type View } from "./callers.ts";
import { DomainError } from "./errors.ts";
import { type NamespaceInodes, type NamespaceType, namespaceTypes } from "./instance-ports.ts";
import type { ProcessFacts, ProcReader } from "./ports.ts";
import type { SandboxRow, SandboxStore } from "./sandbox-ports.ts";

/** A sandbox that has a namespace. */
export interface NamespaceOwner {
  id: string;
  name: string;
}

/** One namespace of the kernel, once for each inode. */
export interface NamespaceEntry {
  type: NamespaceType;
  inode: number;
  host: boolean;
  sandboxes: NamespaceOwner[];
}

/** The process that a pid of the host names. */
export interface ProcessOwner {
  pid: number;
  /** Its pid in its own, innermost pid namespace. */
  pidInside: number;
  startTicks: number;
  sandbox: NamespaceOwner | null;
  /** `main`: the main process of the sandbox; `init`: its PID 1; `descendant`: any other process inside; null outside. */
  role: "main" | "init" | "descendant" | null;
  isMain: boolean;
}

export interface NamespaceLookup {
  items: NamespaceEntry[];
  process: ProcessOwner | null;
}

export interface NamespaceFilter {
  /** Sandboxes that are not in it, and processes outside of those that are, are not there. */
  view: View;
  type: NamespaceType | null;
  inode: number | null;
  pid: number | null;
}

/** Answers from inodes and pids back to sandboxes. Stored inodes count only while their instance lives in this boot. */
export class NamespaceIndex {
  readonly #store: SandboxStore;
  readonly #proc: ProcReader;
  readonly #hostInodes: () => NamespaceInodes | null;

  constructor(store: SandboxStore, proc: ProcReader, hostInodes: () => NamespaceInodes | null) {
    this.#store = store;
    this.#proc = proc;
    this.#hostInodes = hostInodes;
  }

  /**
   * All namespaces of all running sandboxes and the host, or those that the filter names.
   * @throws DomainError `not-found` when the host has no such pid
   */
  async find(filter: NamespaceFilter): Promise<NamespaceLookup> {
    const { view } = filter;
    const rows = this.#running().filter((row) => sees(view, row));
    const process = filter.pid === null ? null : await this.#proc.process(filter.pid);
    const isHidden = process !== null && view !== null && !rows.some((row) => isInside(process, row));
    if (filter.pid !== null && (process === null || isHidden)) throw new DomainError("not-found", `the host has no process ${filter.pid}`);
    const items = this.#entries(rows, process).filter(
      (entry) =>
        (filter.type === null || entry.type === filter.type) &&
        (filter.inode === null || entry.inode === filter.inode) &&
        (process === null || process.inodes[entry.type] === entry.inode),
    );
    return { items, process: process && ownerOf(process, rows) };
  }

  #running(): SandboxRow[] {
    const bootId = this.#proc.bootId();
    return this.#store.alive().filter((row) => row.instance !== null && row.exit === null && row.bootId === bootId);
  }

  #entries(rows: readonly SandboxRow[], process: ProcessFacts | null): NamespaceEntry[] {
    const host = this.#hostInodes();
    const entries = new Map<string, NamespaceEntry>();
    const entry = (type: NamespaceType, inode: number | undefined): NamespaceEntry | null => {
      if (inode === undefined || inode === 0) return null;
      const key = `${type} ${inode}`;
      const found = entries.get(key) ?? { type, inode, host: host?.[type] === inode, sandboxes: [] };
      entries.set(key, found);
      return found;
    };
    for (const type of namespaceTypes) {
      entry(type, host?.[type]);
      for (const row of rows) entry(type, row.instance?.inodes[type])?.sandboxes.push({ id: row.id, name: row.name });
      // A process may have made namespaces of its own that no sandbox was given.
      entry(type, process?.inodes[type]);
    }
    return [...entries.values()];
  }
}

/** A process belongs to the sandbox whose cgroup it is in: no process can leave that, whatever namespaces it makes or shares. */
const isInside = (process: ProcessFacts, row: SandboxRow): boolean => {
  if (row.instance === null || row.instance.cgroup === "") return false;
  // The supervisor names the path below the mount point, the kernel the path with a slash before it.
  const cgroup = `/${row.instance.cgroup}`;
  return process.cgroups.some((path) => path === cgroup || path.startsWith(`${cgroup}/`));
};

const ownerOf = (process: ProcessFacts, rows: readonly SandboxRow[]): ProcessOwner => {
  const row = rows.find((candidate) => isInside(process, candidate));
  const isMain = row?.instance?.pid === process.pid && row.instance.startTicks === process.startTicks;
  const role = row === undefined ? null : isMain ? "main" : row.instance?.initPid === process.pid ? "init" : "descendant";
  return {
    pid: process.pid,
    pidInside: process.pidsInside.at(-1) ?? process.pid,
    startTicks: process.startTicks,
    sandbox: row === undefined ? null : { id: row.id, name: row.name },
    role,
    isMain,
  };
};
