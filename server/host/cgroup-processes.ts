import { open, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { CgroupProcesses, KernelProcess } from "../domain/live-processes.ts";
import { type CgroupMounts, cgroupMounts } from "./cgroup-mounts.ts";
import { startTicksOf } from "./proc.ts";

const commandBytes = 4_096;
/** Processes that are read at a time. */
const atOnce = 32;
/** USER_HZ, in which /proc counts time, and the size of a page: fixed on the architectures that Node runs on here (sysconf(3)). */
const ticksPerSecond = 100;
const pageBytes = 4_096;

/** Errors that only say that the process, or the cgroup, is no more. */
const isGone = (error: unknown): boolean => ["ENOENT", "ESRCH", "ENODEV"].includes((error as NodeJS.ErrnoException).code ?? "");

const pidsBelow = async (directory: string): Promise<number[]> => {
  try {
    const [pids, entries] = await Promise.all([
      readFile(join(directory, "cgroup.procs"), "latin1"),
      readdir(directory, { withFileTypes: true }),
    ]);
    const own = pids.split("\n").filter((line) => line !== "");
    const below = await Promise.all(entries.filter((entry) => entry.isDirectory()).map(({ name }) => pidsBelow(join(directory, name))));
    return [...own.map(Number), ...below.flat()];
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
};

/** The first bytes of a file of /proc, whatever its length. */
const headOf = async (path: string): Promise<Buffer> => {
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(commandBytes), 0, commandBytes, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
};

const commandOf = (bytes: Buffer, name: string): string[] => {
  if (bytes.length === 0) return [`[${name}]`];
  // One that changed its title fills up with NULs what it had no use for.
  return bytes.toString("utf8").replace(/\0+$/, "").split("\0");
};

/** Null when it ended, or its pid was given to another process while it was being read. */
const processOf = async (pid: number): Promise<KernelProcess | null> => {
  try {
    const [stat, status, command] = await Promise.all([
      readFile(`/proc/${pid}/stat`, "utf8"),
      readFile(`/proc/${pid}/status`, "latin1"),
      headOf(`/proc/${pid}/cmdline`),
    ]);
    const end = stat.lastIndexOf(")");
    // The fields after the name, which may itself hold spaces and parentheses (proc_pid_stat(5)): state is field 3.
    const fields = stat.slice(end + 2).split(" ");
    const startTicks = Number(fields[19]);
    if (fields[0] === "Z" || fields[0] === "X" || (await startTicksOf(pid)) !== startTicks) return null;
    return {
      pid,
      pidInside: Number(/^NSpid:.*?(\d+)$/m.exec(status)?.[1] ?? pid),
      parentPid: Number(fields[1]),
      command: commandOf(command, stat.slice(stat.indexOf("(") + 1, end)),
      state: fields[0] ?? "",
      rssBytes: Number(fields[21]) * pageBytes,
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
      startTicks,
    };
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
};

/** Reads who lives in a cgroup live from the kernel. */
export class HostCgroupProcesses implements CgroupProcesses {
  #mounts: Promise<CgroupMounts> | null = null;

  async alive(cgroup: string): Promise<KernelProcess[]> {
    this.#mounts ??= cgroupMounts();
    const pids = (await pidsBelow(join((await this.#mounts).v2, cgroup))).sort((a, b) => a - b);
    const found: (KernelProcess | null)[] = [];
    for (let start = 0; start < pids.length; start += atOnce)
      found.push(...(await Promise.all(pids.slice(start, start + atOnce).map(processOf))));
    return found.filter((each) => each !== null);
  }
}
