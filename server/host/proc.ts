import { readFile, readlink } from "node:fs/promises";
import { type NamespaceInodes, namespaceTypes } from "../domain/instance-ports.ts";
import type { ProcessFacts, ProcReader } from "../domain/ports.ts";
import { readBootId } from "./boot.ts";

/** The fields of /proc/PID/stat after the command's name, which may itself hold spaces and parentheses (proc_pid_stat(5)). */
const statFields = async (pid: number): Promise<string[]> => {
  const text = await readFile(`/proc/${pid}/stat`, "latin1");
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
};

/** Field 22 of /proc/PID/stat: clock ticks between the boot and the start of the process. */
export const startTicksOf = async (pid: number): Promise<number> => Number((await statFields(pid))[19]);

const inodesOf = async (pid: number): Promise<Partial<NamespaceInodes>> => {
  const inodes: Partial<NamespaceInodes> = {};
  const links = await Promise.all(namespaceTypes.map((type) => readlink(`/proc/${pid}/ns/${type}`).catch(() => null)));
  for (const [index, type] of namespaceTypes.entries()) {
    const inode = /^\w+:\[(\d+)\]$/.exec(links[index] ?? "")?.[1];
    if (inode !== undefined) inodes[type] = Number(inode);
  }
  return inodes;
};

/** Reads processes live from the kernel. */
export class Proc implements ProcReader {
  readonly #bootId = readBootId();

  bootId(): string {
    return this.#bootId;
  }

  /** Null when there is no such process, or it ended while it was being read. */
  async process(pid: number): Promise<ProcessFacts | null> {
    try {
      const startTicks = await startTicksOf(pid);
      const [status, cgroup, inodes] = await Promise.all([
        readFile(`/proc/${pid}/status`, "latin1"),
        readFile(`/proc/${pid}/cgroup`, "utf8"),
        inodesOf(pid),
      ]);
      // The pid may have been given to another process between two reads; only one that held it throughout is described.
      if ((await startTicksOf(pid)) !== startTicks) return null;
      const pidsInside = (/^NSpid:\s*(.*)$/m.exec(status)?.[1] ?? "").split(/\s+/).map(Number);
      // "hierarchy:controllers:path" (cgroups(7)); the path may hold colons.
      const cgroups = cgroup
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => line.split(":").slice(2).join(":"));
      return { pid, startTicks, pidsInside, inodes, cgroups };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT" || code === "ESRCH") return null;
      throw error;
    }
  }
}
