import { readFile, realpath } from "node:fs/promises";

/** `\040` and the like of proc_pid_mountinfo(5). */
const unescaped = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/**
 * The type of the filesystem of this directory, where that keeps and enforces project quotas: ext4(5) or xfs(5), mounted with `prjquota`. Null otherwise.
 * @param mounts text of proc_pid_mountinfo(5)
 */
export const projectQuotaType = (mounts: string, directory: string): string | null => {
  let found = { point: "", type: "", options: [] as string[] };
  for (const line of mounts.split("\n")) {
    const [mount = "", filesystem = ""] = line.split(" - ");
    const point = unescaped(mount.split(" ")[4] ?? "");
    const [type = "", , options = ""] = filesystem.split(" ");
    const holds = point === "/" || directory === point || directory.startsWith(`${point}/`);
    // Of two mounts in one place the later one is seen.
    if (point !== "" && holds && point.length >= found.point.length) found = { point, type, options: options.split(",") };
  }
  return ["ext4", "xfs"].includes(found.type) && found.options.includes("prjquota") ? found.type : null;
};

/** The same of this host, now. */
export const projectQuota = async (directory: string): Promise<string | null> =>
  projectQuotaType(await readFile("/proc/self/mountinfo", "utf8"), await realpath(directory));
