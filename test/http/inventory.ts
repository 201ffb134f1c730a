import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Daemon } from "../fixtures/daemon.ts";

/** Pids of everything that descends from the daemon or from the launcher it started. */
const descendants = (roots: readonly number[]): number[] => {
  const parents = new Map<number, number>();
  for (const entry of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      // stat(5): the fields after the last parenthesis are the state and the parent's pid.
      const stat = readFileSync(`/proc/${entry}/stat`, "utf8");
      parents.set(Number(entry), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
    } catch {
      // It ended meanwhile.
    }
  }
  const isBelow = (pid: number): boolean => roots.includes(pid) || (parents.has(pid) && isBelow(parents.get(pid) as number));
  return [...parents.keys()].filter((pid) => isBelow(pid)).sort((a, b) => a - b);
};

/** Directories below the daemon's own cgroup in every hierarchy, v1 or v2, wherever it is mounted. */
const cgroupsBelow = (parent: string): string[] => {
  const mounts = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "));
  const own = mounts.filter(([, , type]) => type?.startsWith("cgroup")).map(([, mountPoint]) => join(mountPoint as string, parent));
  const directories = (path: string) => readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isDirectory());
  return own
    .filter((path) => existsSync(path))
    .flatMap((path) => directories(path).map(({ parentPath, name }) => join(parentPath, name)))
    .sort();
};

/** What a request could have made: rows by the API, files of the state, processes, and cgroups below the daemon's parent. */
export const inventory = async (daemon: Daemon): Promise<Record<string, unknown>> => {
  const { launcher, settings } = (await daemon.request("GET", "/v1/info")).body;
  const ids: Record<string, string[]> = {};
  for (const kind of ["sandboxes", "roots", "operations", "tokens", "webhooks"]) {
    const { items } = (await daemon.request("GET", `/v1/${kind}?limit=1000`)).body;
    ids[kind] = items.map(
      ({ id, generation, state }: { id: string; generation?: number; state?: string }) => `${id} ${generation} ${state}`,
    );
  }
  return {
    ...ids,
    state: ["", "roots", "sandboxes"].map((part) => readdirSync(join(daemon.stateDir, part)).sort()),
    run: readdirSync(join(daemon.directory, "run"), { recursive: true }).sort(),
    processes: descendants([daemon.pid, launcher?.pid ?? daemon.pid]),
    cgroups: cgroupsBelow(settings.cgroupParent),
  };
};
