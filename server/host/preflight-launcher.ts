import { constants } from "node:os";
import type { LauncherFacts } from "../domain/instance-ports.ts";
import type { Check } from "../domain/preflight.ts";

const ok = (name: string, detail: string): Check => ({ name, status: "ok", detail, cost: null, remedy: null });

const cgroups = ({ cgroupLayout, problems }: LauncherFacts): Check => {
  if (cgroupLayout === "v2") return ok("cgroups", "version 2");
  if (cgroupLayout === "hybrid") return ok("cgroups", "hybrid: version 2 for tracking and kill, version 1 controllers for limits");
  return {
    name: "cgroups",
    status: "missing",
    detail: problems.find(({ layer }) => layer === "cgroup")?.message ?? "no usable cgroup tree",
    cost: "sandboxes could neither be limited nor ended for certain",
    remedy: remedyOf("cgroup", problems.find(({ layer }) => layer === "cgroup")?.errno ?? constants.errno.ENOENT),
  };
};

/** How to mend a layer that the launcher found it cannot apply, as far as layer and errno tell. */
const remedyOf = (layer: string, errno: number): string => {
  const { EACCES, ENOENT, ENOSPC, EPERM, EROFS } = constants.errno;
  if (errno === EACCES || errno === EPERM)
    return "run daemon and launcher as root with all capabilities; in a container, make that privileged";
  if (errno === EROFS) return "mount it writable (mount -o remount,rw PATH) and restart the daemon; in a container, make that privileged";
  if (errno === ENOSPC) return "raise the limit of the kernel's: sysctl -a | grep max_.*namespaces";
  if (layer === "cgroup" && errno === ENOENT)
    return "mount -t cgroup2 none /sys/fs/cgroup, with its memory, cpu and pids controllers, and restart the daemon";
  return `the kernel refuses the layer ${layer} with errno ${errno}: boot one that is built with it, of version 5.19 or newer`;
};

const shells = ({ readyShells, readyTarget, problems }: LauncherFacts): Check => {
  if (readyTarget === 0 || readyShells > 0) return ok("ready-shells", `${readyShells} of ${readyTarget} ready`);
  return {
    name: "ready-shells",
    status: "degraded",
    detail: `none of ${readyTarget} ready`,
    cost: "launches take both halves in a row",
    remedy: problems.length > 0 ? "mend what is missing; they follow" : "wait a moment: they are prepared when the launcher is idle",
  };
};

/** What the launcher says of this machine, or that it says nothing. */
export const launcherChecks = (facts: LauncherFacts | null, failure: string | null): Check[] => {
  if (facts === null) {
    return [
      {
        name: "launcher",
        status: "missing",
        detail: failure ?? "it does not answer",
        cost: "no sandbox can be launched",
        remedy: "script/bootstrap builds the program that --supervisor names; launcher.log in the run directory says why it ended",
      },
    ];
  }
  const layers = facts.problems.map(
    ({ layer, errno, message }): Check => ({
      name: `layer-${layer}`,
      status: "missing",
      detail: `${message} (errno ${errno})`,
      cost: "every launch is refused",
      remedy: remedyOf(layer, errno),
    }),
  );
  return [cgroups(facts), ok("launcher", `version ${facts.version}, pid ${facts.pid}`), shells(facts), ...layers];
};
