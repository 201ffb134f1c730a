import type { Dirent } from "node:fs";
import { opendir } from "node:fs/promises";
import type { RootEntry, RootListing, RootListings } from "../domain/root-listing.ts";
import { startTicksOf } from "./proc.ts";

const mostEntries = 64;
/** A directory may hold any number of names: beyond these nothing is counted. */
const mostCounted = 4_096;

const typeOf = (entry: Dirent): RootEntry["type"] => {
  if (entry.isDirectory()) return "directory";
  if (entry.isSymbolicLink()) return "link";
  return entry.isFile() ? "file" : "other";
};

/** Errors that only say that the process is no more, or has no root to look at. */
const isGone = (error: unknown): boolean => ["ENOENT", "ESRCH", "ENOTDIR", "EACCES"].includes((error as NodeJS.ErrnoException).code ?? "");

/**
 * Reads `/proc/PID/root`, which is the root directory itself and no path that the sandbox could redirect (proc_pid_root(5)). Names are
 * read, never followed.
 */
export class HostRootListings implements RootListings {
  async of(pid: number, startTicks: number): Promise<RootListing | null> {
    try {
      const found: RootEntry[] = [];
      // The slash makes it the directory that is opened, not the link.
      for await (const entry of await opendir(`/proc/${pid}/root/`)) {
        found.push({ name: entry.name, type: typeOf(entry) });
        if (found.length === mostCounted) break;
      }
      // Another process may have been given the pid meanwhile.
      if ((await startTicksOf(pid)) !== startTicks) return null;
      found.sort((a, b) => (a.name < b.name ? -1 : 1));
      return { entries: found.slice(0, mostEntries), omitted: Math.max(0, found.length - mostEntries) };
    } catch (error) {
      if (isGone(error)) return null;
      throw error;
    }
  }
}
