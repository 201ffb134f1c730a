import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { LauncherFacts } from "../domain/instance-ports.ts";
import type { Check } from "../domain/preflight.ts";
import { cgroupMounts } from "./cgroup-mounts.ts";

const textOf = (...path: string[]): Promise<string | null> =>
  readFile(join(...path), "utf8").then(
    (text) => text.trim(),
    () => null,
  );
const exists = (...path: string[]): Promise<boolean> =>
  access(join(...path)).then(
    () => true,
    () => false,
  );

const found = (name: string, detail: string, weakness: { cost: string; remedy: string } | null): Check => ({
  name,
  status: weakness === null ? "ok" : "weak",
  detail,
  cost: weakness?.cost ?? null,
  remedy: weakness?.remedy ?? null,
});

/** core(5): a program that the kernel starts, or a socket that it connects to. What runs inside has a limit that keeps the program from being started. */
const corePattern = async (proc: string): Promise<Check> => {
  const pattern = (await textOf(proc, "sys/kernel/core_pattern")) ?? "";
  const isTaken = /^[|@]/.test(pattern);
  return found("core-pattern", `kernel.core_pattern is ${JSON.stringify(pattern)}`, isTaken ? takenCores : null);
};
const takenCores = {
  cost: "what crashes hands its memory to a program of the host's root: not what the API starts in a sandbox, but what nsenter starts there",
  remedy: "sysctl -w kernel.core_pattern=core",
};

/** Linux without CONFIG_SWAP or with swapaccount=0 has no limit of swap; the supervisor sets one where there is. */
const swap = async (proc: string, { cgroupLayout, cgroupParent }: LauncherFacts): Promise<Check> => {
  const devices = ((await textOf(proc, "swaps")) ?? "").split("\n").slice(1);
  if (devices.length === 0) return found("swap", "there is none", null);
  const { v2, v1 } = await cgroupMounts(proc);
  const memory = cgroupLayout === "hybrid" ? v1.get("memory") : undefined;
  const isLimited = memory === undefined ? exists(v2, cgroupParent, "memory.swap.max") : exists(memory, "memory.memsw.limit_in_bytes");
  if (await isLimited) return found("swap", `${devices.length} in use; memoryBytes is a limit with swap`, null);
  return found("swap", `${devices.length} in use, and the kernel limits no cgroup's share`, {
    cost: "memoryBytes is a limit without swap: a sandbox may fill that",
    remedy: "boot with swapaccount=1, or swapoff -a",
  });
};

/** https://docs.kernel.org/admin-guide/LSM/Yama.html */
const yama = async (proc: string): Promise<Check> => {
  const scope = await textOf(proc, "sys/kernel/yama/ptrace_scope");
  const cost =
    "processes of one id may look into each other: in a sandbox that has the host's ids, or whose filter allows ptrace, and on the host";
  if (scope === null)
    return found("yama", "the kernel has no Yama", { cost, remedy: "boot a kernel with CONFIG_SECURITY_YAMA, and yama in its lsm=" });
  return found(
    "yama",
    `kernel.yama.ptrace_scope is ${scope}`,
    scope === "0" ? { cost, remedy: "sysctl -w kernel.yama.ptrace_scope=1" } : null,
  );
};

/** https://docs.kernel.org/admin-guide/sysctl/fs.html, with the values that Debian sets. */
const guards = { protected_symlinks: 1, protected_hardlinks: 1, protected_fifos: 1, protected_regular: 2 };
const protectedLinks = async (proc: string): Promise<Check> => {
  const values = await Promise.all(Object.keys(guards).map((name) => textOf(proc, "sys/fs", name)));
  const off = Object.entries(guards).filter((_, index) => values[index] === "0");
  if (off.length === 0) return found("protected-links", "fs.protected_* guard links, FIFOs and files in sticky directories", null);
  return found("protected-links", off.map(([name]) => `fs.${name} is 0`).join(", "), {
    cost: "root's programs on the host can be led astray by what lies in a sticky directory: in /tmp, and in a sandbox's for who looks into it from outside",
    remedy: `sysctl -w ${off.map(([name, value]) => `fs.${name}=${value}`).join(" ")}`,
  });
};

/**
 * Settings of the host that make what stands around sandboxes weaker, and none of their launches impossible. What a layer closes for all that
 * runs inside (BPF, perf events, the kernel's log and addresses) is not asked about, nor are the kernel's bugs guessed from its version.
 * @param facts of the launcher; null: it does not answer, and nothing is said of swap
 * @param proc where proc(5) is mounted
 */
export const settingChecks = (facts: LauncherFacts | null, proc = "/proc"): Promise<Check[]> =>
  Promise.all([corePattern(proc), ...(facts === null ? [] : [swap(proc, facts)]), yama(proc), protectedLinks(proc)]);
