import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import SQLite from "better-sqlite3";
import { hostFailure } from "../domain/host-failures.ts";

/** The directory is another daemon's. */
export class LockedError extends Error {}

/**
 * One daemon for each state directory, and for each run directory: whose sockets lie there, and are of no sandbox that it knows, it ends. Node has no flock, so the lock is a transaction that SQLite holds on a tiny database
 * of its own for as long as the process lives: a record lock of fcntl(2), which the kernel drops with the process however it ends.
 */
export class DaemonLock {
  readonly #connection: SQLite.Database;

  /** @throws LockedError naming the holder's pid */
  constructor(directory: string, kind: "state" | "run" = "state") {
    const path = join(directory, "daemon.lock");
    const holder = join(directory, "daemon.pid");
    this.#connection = new SQLite(path, { timeout: 0 });
    try {
      this.#connection.pragma("journal_mode = MEMORY");
      this.#connection.exec("BEGIN EXCLUSIVE");
    } catch (error) {
      this.#connection.close();
      if (!(error as { code?: string }).code?.startsWith("SQLITE_BUSY")) throw error;
      throw new LockedError(
        `another daemon (pid ${readHolder(holder)}) uses the ${kind} directory ${directory}; stop it, or give this one a --${kind}-dir of its own`,
      );
    }
    try {
      writeFileSync(holder, `${process.pid}\n`, { mode: 0o600 });
    } catch (error) {
      // It serves the message above alone: a daemon starts on a full disk too.
      if (hostFailure(error)?.code !== "no-space") throw error;
    }
  }

  release(): void {
    this.#connection.close();
  }
}

const readHolder = (path: string): string => {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "unknown";
  }
};
