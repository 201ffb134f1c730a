import { chmod, mkdir, readdir, readFile, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "./program.ts";

export const project = fileURLToPath(new URL("..", import.meta.url));
export const buildDirectory = join(project, "build/bench");

/** On a disk and not on a tmpfs, since storing durably is a part of what is measured. Short, since it holds unix sockets. */
export const scratchDirectory = `/var/tmp/unshared-bench-${process.pid}`;
/** The name of every cgroup parent that the bench makes begins with this. */
export const cgroupName = `unshared-bench-${process.pid}`;

/** A folder below the scratch folder; others may pass through it, for a process with mapped ids has to. */
export const makeScratch = async (...parts: string[]): Promise<string> => {
  const path = join(scratchDirectory, ...parts);
  await mkdir(path, { recursive: true, mode: 0o711 });
  await chmod(scratchDirectory, 0o711);
  return path;
};

/** Ends mounts that a peer left below the scratch folder, deepest first, and removes the folder. Never crosses a mount. */
export const removeScratch = async (): Promise<void> => {
  const mounts = (await readFile("/proc/self/mountinfo", "utf8"))
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path.startsWith(`${scratchDirectory}/`));
  for (const path of mounts.reverse()) await run("umount", ["-l", path], { cleaning: true });
  await rm(scratchDirectory, { recursive: true, force: true });
};

/** Removes the bench's cgroup directories, in every hierarchy, children first. A cgroup with a process in it stays, and fails. */
export const removeCgroups = async (): Promise<void> => {
  const top = "/sys/fs/cgroup";
  const hierarchies = [
    "",
    ...(await readdir(top, { withFileTypes: true })).filter((entry) => entry.isDirectory()).map((entry) => entry.name),
  ];
  for (const hierarchy of hierarchies) {
    const parent = join(top, hierarchy);
    const own = (await readdir(parent).catch(() => [])).filter((name) => name.startsWith(cgroupName));
    for (const name of own) await removeTree(join(parent, name));
  }
};

const removeTree = async (path: string): Promise<void> => {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) if (entry.isDirectory()) await removeTree(join(path, entry.name));
  await rmdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
};
