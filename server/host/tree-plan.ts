import type { Stats } from "node:fs";
import { lstat, readlink } from "node:fs/promises";
import { dirname } from "node:path";
import type { Why } from "../domain/root-ports.ts";

/** One thing a root will hold. `path` has no link in its directories: every link on the way is an entry of its own. */
export type TreeEntry = { path: string; why: Why[] } & (
  | { type: "file"; source: string; content: null }
  | { type: "file"; source: null; content: Buffer }
  | { type: "link"; target: string }
  | { type: "directory"; mode: number }
);

/** Something on the host that cannot be copied; the message names the path. */
export class UncopiableError extends Error {}

// The kernel gives up after as many links (path_resolution(7)).
const maxLinks = 40;
const hidden = ["/proc", "/sys", "/dev"];

/** The contents of a root while they are being collected: paths without conflict, each with its reasons. */
export class TreePlan {
  readonly entries = new Map<string, TreeEntry>();

  /** The links that a merged /usr has in / (bin -> usr/bin and so on), as this host has them. */
  async addTopLinks(): Promise<void> {
    for (const path of ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"]) {
      const target = await readlink(path).catch(() => null);
      if (target !== null) this.add({ path, type: "link", target, why: [{ kind: "generated", of: "the host's layout of /usr" }] });
    }
  }

  /**
   * Takes the regular file at `path` of the host, and each link met on the way to it. Answers the file's path without
   * links. Throws `UncopiableError`.
   */
  async addHostFile(path: string, why: Why): Promise<string> {
    const way = path.split("/");
    let at = "";
    let reason = why;
    let links = 0;
    for (let name = way.shift(); name !== undefined; name = way.shift()) {
      if (name === "" || name === ".") continue;
      if (name === "..") {
        at = at === "" ? "" : at.slice(0, at.lastIndexOf("/"));
        continue;
      }
      const next = `${at}/${name}`;
      const stats = await lstatOf(next, path, links > 0);
      if (!stats.isSymbolicLink()) {
        at = next;
        continue;
      }
      if (++links > maxLinks) throw new UncopiableError(`${path} leads through too many links`);
      const target = await readlink(next);
      this.add({ path: next, type: "link", target, why: [reason] });
      if (way.every((each) => each === "")) reason = { kind: "link-target", of: next };
      if (target.startsWith("/")) at = "";
      way.unshift(...target.split("/"));
    }
    assertRegular(await lstatOf(at || "/", path, links > 0), path, links > 0 ? at : path);
    this.add({ path: at, type: "file", source: at, content: null, why: [reason] });
    return at;
  }

  /** `path` with the planned links in its directories resolved, so that nothing is ever written through one. */
  canonical(path: string): string {
    let at = "";
    let links = 0;
    const way = path.split("/").filter((each) => each !== "" && each !== ".");
    for (let name = way.shift(); name !== undefined; name = way.shift()) {
      if (name === "..") {
        at = at === "" ? "" : at.slice(0, at.lastIndexOf("/"));
        continue;
      }
      const next = `${at}/${name}`;
      const entry = this.entries.get(next);
      if (entry?.type !== "link" || way.length === 0) {
        at = next;
        continue;
      }
      if (++links > maxLinks) throw new UncopiableError(`${path} leads through too many links`);
      if (entry.target.startsWith("/")) at = "";
      way.unshift(...entry.target.split("/").filter((each) => each !== "" && each !== "."));
    }
    return at;
  }

  /** Adds an entry, or its reasons to the one that is there. Throws `UncopiableError` when another thing has that place. */
  add(entry: TreeEntry): void {
    if (hidden.some((each) => `${entry.path}/`.startsWith(`${each}/`))) {
      throw new UncopiableError(`${entry.path} would be hidden by a mount point of every sandbox (${hidden.join(", ")})`);
    }
    const there = this.entries.get(entry.path);
    if (!there) {
      this.entries.set(entry.path, entry);
      return;
    }
    if (!sameThing(there, entry)) throw new UncopiableError(`${entry.path} would have to be two different things`);
    if (there.why[0]?.kind === "generated") return;
    for (const why of entry.why) if (!there.why.some((each) => each.kind === why.kind && each.of === why.of)) there.why.push(why);
  }

  /** Adds an entry where nothing else wants to be, for files that every root gets unless the caller brings its own. */
  addDefault(entry: TreeEntry): void {
    const path = this.canonical(entry.path);
    if (!this.entries.has(path)) this.entries.set(path, { ...entry, path });
  }

  /** The first entry that would have to be below a file or a link, or null. */
  conflict(): { path: string; above: string } | null {
    for (const { path } of this.entries.values()) {
      for (let above = dirname(path); above !== "/"; above = dirname(above)) {
        const entry = this.entries.get(above);
        if (entry && entry.type !== "directory") return { path, above };
      }
    }
    return null;
  }
}

function sameThing(one: TreeEntry, other: TreeEntry): boolean {
  if (one.type === "link" && other.type === "link") return one.target === other.target;
  if (one.type === "file" && other.type === "file") return one.source !== null && one.source === other.source;
  return one.type === other.type;
}

async function lstatOf(path: string, asked: string, throughLink: boolean): Promise<Stats> {
  try {
    return await lstat(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const what =
      code === "ENOENT" || code === "ENOTDIR" ? "does not exist" : code === "ENAMETOOLONG" ? "is too long" : `cannot be read (${code})`;
    throw new UncopiableError(throughLink ? `${asked} leads to ${path}, which ${what}` : `${asked} ${what}`, { cause: error });
  }
}

/** Only regular files can be copied; others are named for what they are. Nothing is opened, so a FIFO or a device is not touched. */
export function assertRegular(stats: Stats, asked: string, path = asked): void {
  if (stats.isFile()) return;
  const what = stats.isDirectory()
    ? "a directory"
    : stats.isFIFO()
      ? "a FIFO"
      : stats.isSocket()
        ? "a socket"
        : stats.isSymbolicLink()
          ? "a link"
          : "a device";
  throw new UncopiableError(path === asked ? `${asked} is ${what}, not a file` : `${asked} leads to ${path}, which is ${what}, not a file`);
}
