import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

/** Everything of a tree that something inside a sandbox could change: names, modes, owners, contents, links. */
export const treeDigest = (path: string): string => {
  const hash = createHash("sha256");
  for (const name of (readdirSync(path, { recursive: true }) as string[]).sort()) {
    const status = lstatSync(join(path, name));
    hash.update(`${name} ${status.mode} ${status.uid} ${status.gid} ${status.size}\n`);
    if (status.isFile()) hash.update(readFileSync(join(path, name)));
    if (status.isSymbolicLink()) hash.update(readlinkSync(join(path, name)));
  }
  return hash.digest("hex");
};
