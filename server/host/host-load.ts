import { readFile } from "node:fs/promises";
import { availableParallelism, loadavg } from "node:os";
import type { HostLoad } from "../domain/info.ts";
import { pressureOf } from "./cgroup-usage.ts";

/** Of /proc/meminfo (proc_meminfo(5)), which counts in KiB. */
const bytesOf = (meminfo: string, name: string): number => Number(new RegExp(`^${name}: +(\\d+) kB$`, "m").exec(meminfo)?.[1] ?? 0) * 1024;

/** How busy the host is right now. */
export const hostLoad = async (): Promise<HostLoad> => {
  const [meminfo, pressure] = await Promise.all([readFile("/proc/meminfo", "latin1"), pressureOf((kind) => `/proc/pressure/${kind}`)]);
  return {
    cpus: availableParallelism(),
    loadAverage: loadavg(),
    memory: { totalBytes: bytesOf(meminfo, "MemTotal"), availableBytes: bytesOf(meminfo, "MemAvailable") },
    pressure,
  };
};
