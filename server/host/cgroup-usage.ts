import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Cost, Pressure, Usage, UsageReader } from "../domain/stats.ts";
import { type CgroupMounts, cgroupMounts } from "./cgroup-mounts.ts";
import { startTicksOf } from "./proc.ts";

/** At or above this version 1 means "no limit" (the largest multiple of a page that fits). */
const unlimited = 2 ** 62;

/** The text of a small file of the kernel's; null where there is none, or the cgroup or process is no more. */
const textOf = async (...path: string[]): Promise<string | null> => {
  try {
    return await readFile(join(...path), "latin1");
  } catch (error) {
    if (["ENOENT", "ENODEV", "ESRCH", "EOPNOTSUPP", "EINVAL"].includes((error as NodeJS.ErrnoException).code ?? "")) return null;
    throw error;
  }
};

const numberOf = async (...path: string[]): Promise<number | null> => {
  const text = await textOf(...path);
  return text === null || text === "max\n" ? null : Number(text);
};

/** Lines of `key value`. */
const countsOf = async (...path: string[]): Promise<Map<string, number> | null> => {
  const text = await textOf(...path);
  return text === null
    ? null
    : new Map(
        text
          .split("\n")
          .map((line) => line.split(" "))
          .map(([key = "", value]) => [key, Number(value)]),
      );
};

const limit = (value: number | null): number | null => (value === null || value >= unlimited ? null : value);

const throttlingOf = (
  counts: Map<string, number> | null,
  throttledSeconds: (counts: Map<string, number>) => number,
): Usage["throttling"] =>
  counts?.get("nr_periods")
    ? {
        periods: counts.get("nr_periods") ?? 0,
        throttledPeriods: counts.get("nr_throttled") ?? 0,
        throttledSeconds: throttledSeconds(counts),
      }
    : null;

/** Version 2 (https://docs.kernel.org/admin-guide/cgroup-v2.html) and version 1 (https://docs.kernel.org/admin-guide/cgroup-v1/memory.html). */
const memoryNames = {
  v2: { current: "memory.current", peak: "memory.peak", limit: "memory.max", events: "memory.events", anonymous: "anon", file: "file" },
  v1: {
    current: "memory.usage_in_bytes",
    peak: "memory.max_usage_in_bytes",
    limit: "memory.limit_in_bytes",
    events: "memory.oom_control",
    anonymous: "total_rss",
    file: "total_cache",
  },
};

const memoryOf = async (directory: string, names: (typeof memoryNames)["v1" | "v2"]): Promise<Usage["memory"]> => {
  const [currentBytes, peakBytes, limitBytes, kinds, events] = await Promise.all([
    numberOf(directory, names.current),
    numberOf(directory, names.peak),
    numberOf(directory, names.limit),
    countsOf(directory, "memory.stat"),
    countsOf(directory, names.events),
  ]);
  if (currentBytes === null) return null;
  const [anonymousBytes = 0, fileBytes = 0] = [kinds?.get(names.anonymous), kinds?.get(names.file)];
  return { currentBytes, peakBytes, limitBytes: limit(limitBytes), anonymousBytes, fileBytes, oomKills: events?.get("oom_kill") ?? 0 };
};

/** The same files in both versions. */
const pidsOf = async (directory: string): Promise<Usage["pids"]> => {
  const [current, most, events] = await Promise.all([
    numberOf(directory, "pids.current"),
    numberOf(directory, "pids.max"),
    countsOf(directory, "pids.events"),
  ]);
  return current === null ? null : { current, limit: most, refused: events?.get("max") ?? 0 };
};

/** One line a device: `MAJOR:MINOR rbytes=N wbytes=N rios=N wios=N ...`. */
const ioOf = async (directory: string): Promise<Usage["io"]> => {
  const text = await textOf(directory, "io.stat");
  if (text === null) return null;
  const sum = (key: string): number =>
    [...text.matchAll(new RegExp(`\\b${key}=(\\d+)`, "g"))].reduce((total, [, value]) => total + Number(value), 0);
  return { readBytes: sum("rbytes"), writtenBytes: sum("wbytes"), reads: sum("rios"), writes: sum("wios") };
};

/** Columns of /proc/PID/net/dev (proc_pid_net(5)): received bytes and packets are 1 and 2, sent ones 9 and 10. */
const networkOf = async (process: { pid: number; startTicks: number } | null): Promise<Usage["network"]> => {
  const text = process && (await textOf(`/proc/${process.pid}/net/dev`));
  // The pid of one that has ended may be another's by now.
  const isSame = process !== null && (await startTicksOf(process.pid).catch(() => null)) === process.startTicks;
  if (text === null || !isSame) return null;
  const interfaces = text
    .split("\n")
    .slice(2)
    .map((line) => line.trim().split(/[:\s]+/))
    .filter(([name]) => name !== "" && name !== "lo");
  const sum = (column: number): number => interfaces.reduce((total, columns) => total + Number(columns[column]), 0);
  return { receivedBytes: sum(1), receivedPackets: sum(2), sentBytes: sum(9), sentPackets: sum(10) };
};

/** What tasks waited for (https://docs.kernel.org/accounting/psi.html). @param pathOf the file of a kind */
export const pressureOf = async (pathOf: (kind: string) => string): Promise<Usage["pressure"]> => {
  const read = async (kind: string): Promise<Pressure | null> => {
    const line = /^some avg10=([\d.]+) avg60=([\d.]+) .*total=(\d+)$/m.exec((await textOf(pathOf(kind))) ?? "");
    return line && { some10: Number(line[1]), some60: Number(line[2]), totalSeconds: Number(line[3]) / 1e6 };
  };
  const [cpu, memory, io] = await Promise.all(["cpu", "memory", "io"].map(read));
  return cpu && memory && io ? { cpu, memory, io } : null;
};

/** Reads what the kernel counts for a cgroup, in both layouts: on a hybrid host the controllers' files lie in version 1, all else in version 2. */
export class HostCgroupUsage implements UsageReader {
  #mounts: Promise<CgroupMounts> | null = null;

  async cost(cgroup: string): Promise<Cost | null> {
    this.#mounts ??= cgroupMounts();
    const { v1, v2 } = await this.#mounts;
    const memory = v1.get("memory");
    const peakPath = memory === undefined ? join(v2, cgroup, memoryNames.v2.peak) : join(memory, cgroup, memoryNames.v1.peak);
    const [cpu, peakMemoryBytes] = await Promise.all([countsOf(v2, cgroup, "cpu.stat"), numberOf(peakPath)]);
    const [user, system] = [cpu?.get("user_usec"), cpu?.get("system_usec")];
    if (user === undefined || system === undefined) return null;
    return { userSeconds: user / 1e6, systemSeconds: system / 1e6, peakMemoryBytes };
  }

  async read(cgroup: string, process: { pid: number; startTicks: number } | null): Promise<Usage | null> {
    this.#mounts ??= cgroupMounts();
    const { v1, v2 } = await this.#mounts;
    const directory = join(v2, cgroup);
    const below = (controller: string): string | null => (v1.has(controller) ? join(v1.get(controller) as string, cgroup) : null);
    const [memoryDirectory, cpuDirectory, pidsDirectory] = [below("memory"), below("cpu"), below("pids")];
    const [cpu, cpuV1, memory, pids, io, network, pressure] = await Promise.all([
      countsOf(directory, "cpu.stat"),
      cpuDirectory && countsOf(cpuDirectory, "cpu.stat"),
      memoryDirectory === null ? memoryOf(directory, memoryNames.v2) : memoryOf(memoryDirectory, memoryNames.v1),
      pidsOf(pidsDirectory ?? directory),
      ioOf(directory),
      networkOf(process),
      pressureOf((kind) => join(directory, `${kind}.pressure`)),
    ]);
    if (!cpu) return null;
    const seconds = (key: string): number => (cpu.get(key) ?? 0) / 1e6;
    return {
      cpu: { usageSeconds: seconds("usage_usec"), userSeconds: seconds("user_usec"), systemSeconds: seconds("system_usec") },
      throttling: cpuV1
        ? throttlingOf(cpuV1, (counts) => (counts.get("throttled_time") ?? 0) / 1e9)
        : throttlingOf(cpu, () => seconds("throttled_usec")),
      memory,
      pids,
      io,
      network,
      pressure,
    };
  }
}
