import { type NamespaceInodes, type NamespaceType, namespaceTypes } from "./instance-ports.ts";
import type { KernelProcess, LiveProcess } from "./live-processes.ts";
import type { Report } from "./reports.ts";
import type { RootEntry, RootListing } from "./root-listing.ts";

/** One namespace of the kernel, once for each inode; `sandboxes` are the ids of those that have it. */
export interface DiagramNamespace {
  type: NamespaceType;
  inode: number;
  host: boolean;
  sandboxes: string[];
}

/** `parentPid` is null where the parent is outside the sandbox: its supervisor, or nobody. */
export interface DiagramProcess extends Pick<KernelProcess, "pid" | "pidInside" | "command"> {
  parentPid: number | null;
  role: "init" | "main" | "started" | "descendant";
}

export interface DiagramSandbox {
  id: string;
  name: string;
  state: string;
  root: { id: string; name: string } | null;
  /** Its inode of each type; null where it does not run. */
  namespaces: NamespaceInodes | null;
  /** What stands at the top of its root, as its main process sees it; null where that is not known. */
  entries: RootEntry[] | null;
  entriesOmitted: number;
  /** Parents before children; null where they were not read. */
  processes: DiagramProcess[] | null;
  processesOmitted: number;
}

/** The host, its namespaces and sandboxes at one moment. SVG and Mermaid are drawn from it. */
export interface Diagram {
  at: string;
  host: { name: string; kernel: string };
  namespaces: DiagramNamespace[];
  sandboxes: DiagramSandbox[];
  /** Running sandboxes that are left out, and how many are stored in each state. */
  sandboxesOmitted: number;
  states: Record<string, number>;
}

/** What was read of one sandbox. */
export interface SandboxFacts {
  report: Report;
  listing: RootListing | null;
  processes: LiveProcess[] | null;
}

export interface DiagramFacts {
  at: string;
  host: Diagram["host"];
  hostInodes: NamespaceInodes | null;
  sandboxes: readonly SandboxFacts[];
  sandboxesOmitted: number;
  states: Record<string, number>;
}

/** Processes of one sandbox that are told. */
const mostProcesses = 64;

/** The model of the diagram. */
export const diagramOf = ({ hostInodes, sandboxes, ...rest }: DiagramFacts): Diagram => ({
  ...rest,
  namespaces: namespacesOf(sandboxes, hostInodes),
  sandboxes: sandboxes.map(sandboxOf),
});

const namespacesOf = (sandboxes: readonly SandboxFacts[], hostInodes: NamespaceInodes | null): DiagramNamespace[] => {
  const found = new Map<string, DiagramNamespace>();
  const add = (type: NamespaceType, inode: number | undefined): DiagramNamespace | null => {
    if (inode === undefined || inode === 0) return null;
    const known = found.get(`${type} ${inode}`) ?? { type, inode, host: hostInodes?.[type] === inode, sandboxes: [] };
    found.set(`${type} ${inode}`, known);
    return known;
  };
  for (const type of namespaceTypes) add(type, hostInodes?.[type]);
  for (const { report } of sandboxes)
    for (const type of namespaceTypes) add(type, report.namespaces?.[type].inode)?.sandboxes.push(report.id);
  return [...found.values()];
};

const sandboxOf = ({ report, listing, processes }: SandboxFacts): DiagramSandbox => {
  const { id, name, root, namespaces } = report;
  const tree = processes && treeOf(processes, report.process?.pid ?? null);
  return {
    id,
    name,
    state: report.status.state,
    root,
    namespaces: namespaces && (Object.fromEntries(namespaceTypes.map((type) => [type, namespaces[type].inode])) as NamespaceInodes),
    entries: listing?.entries ?? null,
    entriesOmitted: listing?.omitted ?? 0,
    processes: tree?.slice(0, mostProcesses) ?? null,
    processesOmitted: Math.max(0, (tree?.length ?? 0) - mostProcesses),
  };
};

/** The processes in the order of a drawn tree: each before its children, siblings by pid. */
const treeOf = (processes: readonly LiveProcess[], mainPid: number | null): DiagramProcess[] => {
  const pids = new Set(processes.map(({ pid }) => pid));
  const children = Map.groupBy(processes, ({ parentPid }) => (pids.has(parentPid) ? parentPid : null));
  const ordered: DiagramProcess[] = [];
  const pending = [...(children.get(null) ?? [])].reverse();
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { pid, pidInside, command } = next;
    const parentPid = pids.has(next.parentPid) ? next.parentPid : null;
    const role = pid === mainPid ? "main" : pidInside === 1 ? "init" : parentPid === null ? "started" : "descendant";
    ordered.push({ pid, pidInside, parentPid, command, role });
    pending.push(...[...(children.get(pid) ?? [])].reverse());
  }
  return ordered;
};
