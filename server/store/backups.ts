import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { open, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { Backup, Backups } from "../domain/backups.ts";
import { DomainError } from "../domain/errors.ts";

/** The newest so many stay. */
const kept = 10;
const suffix = ".partial";

/** Copies of state.db in STATE_DIR/backups, each with the time of its making in its name. */
export class DatabaseBackups implements Backups {
  readonly #database: string;
  readonly #directory: string;
  #last: Promise<unknown> = Promise.resolve();

  /** Removes what an earlier daemon did not finish. */
  constructor(stateDir: string) {
    this.#database = join(stateDir, "state.db");
    this.#directory = join(stateDir, "backups");
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(this.#directory)) if (name.includes(suffix)) rmSync(join(this.#directory, name));
  }

  /** One at a time. Each begins after it was asked for, so it has all that was committed then. */
  make(): Promise<Backup> {
    const backup = this.#last.then(
      () => this.#make(),
      () => this.#make(),
    );
    this.#last = backup;
    return backup;
  }

  async #make(): Promise<Backup> {
    const createdAt = Date.now();
    const path = join(this.#directory, `state-${new Date(createdAt).toISOString().replaceAll(/[-:]/g, "")}.db`);
    const partial = `${path}${suffix}`;
    try {
      await copied(this.#database, partial);
      const bytes = await synced(partial);
      await rename(partial, path);
      await synced(this.#directory);
      await this.#prune();
      return { path, bytes, createdAt, durationMs: Date.now() - createdAt };
    } catch (error) {
      await rm(partial, { force: true });
      await rm(`${partial}-journal`, { force: true });
      throw isFull(error) ? new DomainError("no-space", "the disk is full", { cause: error }) : error;
    }
  }

  async #prune(): Promise<void> {
    const names = readdirSync(this.#directory).filter((name) => /^state-[0-9TZ.]+\.db$/.test(name));
    for (const name of names.sort().slice(0, -kept)) await rm(join(this.#directory, name), { force: true });
  }
}

const isFull = (error: unknown): boolean => ["SQLITE_FULL", "ENOSPC", "EDQUOT"].includes((error as { code?: string }).code ?? "");

const copied = (from: string, to: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./backup-worker.ts", import.meta.url), { workerData: { from, to } });
    worker.once("message", () => resolve());
    worker.once("error", reject);
    worker.once("exit", (code) => reject(new Error(`the backup's thread ended with ${code}`)));
  });

/** Gives the size. */
const synced = async (path: string): Promise<number> => {
  const file = await open(path);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
  return (await stat(path)).size;
};
