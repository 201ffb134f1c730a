import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

/** What the kernel says from outside, by proc(5) and the cgroup trees; nothing here asks the program under test. */

export const namespaceTypes = ["mnt", "uts", "ipc", "net", "pid", "user", "cgroup", "time"] as const;

const read = (path: string): string | null => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
};
const list = (path: string): string[] => {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
};

export const namespaceInode = (pid: number, type: string): number => Number(/\[(\d+)\]/.exec(readlinkSync(`/proc/${pid}/ns/${type}`))?.[1]);

/** Fields of /proc/PID/stat from the third on; the process's name before them may hold anything. */
const stat = (pid: number): string[] => {
  const text = read(`/proc/${pid}/stat`) ?? "";
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
};
export const startTicks = (pid: number): number => Number(stat(pid)[19]);
export const processState = (pid: number): string => stat(pid)[0] ?? "";
export const parentOf = (pid: number): number => Number(stat(pid)[1]);
export const sessionOf = (pid: number): number => Number(stat(pid)[3]);
export const terminalOf = (pid: number): number => Number(stat(pid)[4]);
/** Clock ticks (100 a second) of user and system time. */
export const cpuTicks = (pid: number): number => Number(stat(pid)[11]) + Number(stat(pid)[12]);

export const alive = (pid: number): boolean => !["", "Z", "X"].includes(processState(pid));

export const statusOf = (pid: number, thread = pid): Record<string, string> =>
  Object.fromEntries(
    (read(`/proc/${pid}/task/${thread}/status`) ?? "")
      .split("\n")
      .map((line) => /^(\w+):\s*(.*)$/.exec(line))
      .flatMap((match) => (match ? [[match[1], match[2]]] : [])),
  );
export const threadsOf = (pid: number): number[] => list(`/proc/${pid}/task`).map(Number);
export const file = (pid: number, name: string): string => read(`/proc/${pid}/${name}`) ?? "";
export const descriptors = (pid: number): number[] =>
  list(`/proc/${pid}/fd`)
    .map(Number)
    .sort((a, b) => a - b);
/** Targets by descriptor. */
export const descriptorTarget = (pid: number, fd: number): string => readlinkSync(`/proc/${pid}/fd/${fd}`);

/** The directories of the cgroup trees that instances get a child in: v2, and v1's of memory, cpu and pids. */
export const cgroupTrees: readonly string[] = readFileSync("/proc/self/mounts", "utf8")
  .split("\n")
  .map((line) => line.split(" "))
  .filter(([, , type, options]) => type === "cgroup2" || (type === "cgroup" && /(^|,)(memory|cpu|pids)(,|$)/.test(options ?? "")))
  .map(([, directory]) => directory ?? "");

/** Processes of a cgroup, from each tree that has it. */
export const cgroupProcesses = (path: string): number[][] =>
  cgroupTrees
    .map((tree) => read(join(tree, path, "cgroup.procs")))
    .flatMap((text) => (text === null ? [] : [text.split("\n").filter(Boolean).map(Number)]));

/** Directories below a cgroup, in each tree. */
export const cgroupsBelow = (parent: string): string[] =>
  cgroupTrees.flatMap((tree) =>
    list(join(tree, parent))
      .filter((name) => /^\d+$/.test(name))
      .map((name) => join(tree, parent, name)),
  );

/** Processes whose environment holds this text, or whose cgroup has this part in its path. */
export const processesWith = (mark: string, cgroup: string): number[] =>
  list("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && (file(pid, "environ").includes(mark) || file(pid, "cgroup").includes(`/${cgroup}/`)));

export const ownMounts = (): string[] => (read("/proc/self/mountinfo") ?? "").split("\n");
