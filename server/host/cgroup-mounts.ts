import { readFile } from "node:fs/promises";

/** Where the hierarchies of this host are mounted (cgroups(7)): version 2, and those of version 1 by controller. */
export interface CgroupMounts {
  v2: string;
  v1: ReadonlyMap<string, string>;
}

/** @param proc where proc(5) is mounted */
export const cgroupMounts = async (proc = "/proc"): Promise<CgroupMounts> => {
  const lines = (await readFile(`${proc}/self/mounts`, "utf8")).split("\n").map((line) => line.split(" "));
  const v1 = new Map<string, string>();
  for (const [, directory = "", type, options = ""] of lines)
    if (type === "cgroup") for (const option of options.split(",")) if (!v1.has(option)) v1.set(option, directory);
  return { v2: lines.find(([, , type]) => type === "cgroup2")?.[1] ?? "/sys/fs/cgroup", v1 };
};
