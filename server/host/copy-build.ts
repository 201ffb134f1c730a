import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { chmod, chown, copyFile, mkdir, open, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { BuildControl, ManifestEntry } from "../domain/root-ports.ts";
import type { TreeEntry, TreePlan } from "./tree-plan.ts";

// The thread pool has four threads; one stays free for whoever else needs a file.
const parallelFiles = 3;
// Hashed on the event loop, so by pieces that take about a tenth of a millisecond.
const chunkBytes = 128 * 1024;

/**
 * Makes the planned tree below `tree`, an empty directory of ours. Files belong to root, keep their times, and lose set-user-id,
 * set-group-id and sticky bits; each file, and at the end each directory, is synced. Answers the manifest's entries, by path.
 */
export async function buildCopy(plan: TreePlan, tree: string, control: BuildControl): Promise<ManifestEntry[]> {
  const entries = [...plan.entries.values()].sort((one, other) => (one.path < other.path ? -1 : 1));
  const directories = new Set<string>();
  for (const entry of entries) {
    for (let path = entry.type === "directory" ? entry.path : dirname(entry.path); path !== "/"; path = dirname(path))
      directories.add(path);
  }
  await chmod(tree, 0o755);
  // A shorter path sorts before those below it, so each parent is there first. mkdir(2) applies the umask, chmod(2) does not.
  for (const path of [...directories].sort()) {
    await mkdir(tree + path);
    const entry = plan.entries.get(path);
    await chmod(tree + path, entry?.type === "directory" ? entry.mode : 0o755);
  }
  const manifest: ManifestEntry[] = [];
  let done = 0;
  const queue = entries.values();
  const worker = async () => {
    for (const entry of queue) {
      control.signal.throwIfAborted();
      manifest.push(await make(entry, tree));
      control.report("copying", ++done / entries.length, entry.path);
    }
  };
  const outcomes = await Promise.allSettled(Array.from({ length: parallelFiles }, worker));
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  control.report("syncing", 1);
  for (const path of ["", ...directories]) await syncDirectory(tree + path);
  return manifest.sort((one, other) => (one.path < other.path ? -1 : 1));
}

/** Puts what a directory says about its files on the disk (fsync(2): a file's own sync does not do that). */
export async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  await directory.sync();
}

async function make(entry: TreeEntry, tree: string): Promise<ManifestEntry> {
  const path = tree + entry.path;
  const said = { path: entry.path, type: entry.type, source: null, sizeBytes: 0, mode: "0777", sha256: null, target: null, why: entry.why };
  if (entry.type === "directory") return { ...said, mode: octal(entry.mode) };
  if (entry.type === "link") {
    await symlink(entry.target, path);
    return { ...said, target: entry.target, source: entry.path };
  }
  if (entry.source === null) {
    await writeFile(path, entry.content, { flag: "wx" });
    return { ...said, ...(await finish(path, 0o644)) };
  }
  const source = await stat(entry.source);
  await copyFile(entry.source, path, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  await utimes(path, source.atime, source.mtime);
  return { ...said, source: entry.source, ...(await finish(path, source.mode & 0o777)) };
}

/** Owner, mode, digest and sync of one file that was just written. */
async function finish(path: string, mode: number): Promise<{ mode: string; sizeBytes: number; sha256: string }> {
  await chown(path, 0, 0);
  await chmod(path, mode);
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  const { size } = await file.stat();
  const sha256 = createHash("sha256");
  const chunk = Buffer.allocUnsafe(Math.max(1, Math.min(size, chunkBytes)));
  for (;;) {
    const { bytesRead } = await file.read(chunk, 0, chunk.length, null);
    if (bytesRead === 0) break;
    sha256.update(chunk.subarray(0, bytesRead));
  }
  await file.sync();
  return { mode: octal(mode), sizeBytes: size, sha256: sha256.digest("hex") };
}

/** Permission bits as people write them: `0755`. */
export function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, "0");
}
