import { readFile } from "node:fs/promises";
import { cpus, release, totalmem } from "node:os";

/** What has to be known about the machine to read the figures. */
export interface Host {
  processor: string;
  cores: number;
  memoryGiB: number;
  kernel: string;
  system: string;
  cgroups: string;
  node: string;
  measuredAt: string;
}

export const describeHost = async (): Promise<Host> => {
  const osRelease = await readFile("/etc/os-release", "utf8").catch(() => "");
  const mounts = await readFile("/proc/mounts", "utf8");
  const v2 = /^\S+ (\S+) cgroup2 /m.exec(mounts)?.[1];
  return {
    processor: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    system: /^PRETTY_NAME="(.*)"$/m.exec(osRelease)?.[1] ?? "unknown",
    cgroups: v2 === undefined ? "v1" : / cgroup [^\n]*\bmemory\b/.test(mounts) ? "hybrid" : "v2",
    node: process.version,
    measuredAt: new Date().toISOString().slice(0, 16).replace("T", " "),
  };
};
