/**
 * The one connection to state.db.
 *
 * Durability without blocking. synchronous=FULL makes SQLite call fsync on the write-ahead log inside each COMMIT, on the
 * thread that serves every request. This connection runs synchronous=NORMAL, in which a commit only writes the log, and
 * `durable()` does the same fsync afterwards from the thread pool, one for all callers that wait. A reply that promises
 * something awaits it, so what was promised has been synced exactly as with FULL. (A checkpoint syncs the log before it
 * moves pages out of it and the database after, with NORMAL too: https://sqlite.org/pragma.html#pragma_synchronous.)
 * The log is never unlinked while a connection is open, and SQLite keeps its locks on state.db and state.db-shm, so a second
 * descriptor on state.db-wal neither goes stale nor drops a lock when it is closed (fcntl(2), "Record locks").
 */
import { closeSync, fdatasync, fstatSync, fsyncSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";
import SQLite from "better-sqlite3";
import { DomainError } from "../domain/errors.ts";
import type { DatabaseTimes } from "../domain/measurements.ts";
import type { Persistence } from "../domain/ports.ts";
import { checkpoint } from "./checkpointer.ts";
import { storageFailure } from "./failures.ts";
import { migrate } from "./migrations.ts";

/** The log is cut to this size when it begins anew after a burst. */
const keptLogBytes = 16_777_216;
/** Beyond this many pages (64 MB) the rest of a checkpoint is done at once, so that a load without a pause cannot keep the log growing. */
const longLogPages = 16_384;
/** Commits between two checkpoints: some 8,000 pages of the log, 32 MB. */
const checkpointCommits = 2_000;

/** A prepared statement. @throws DomainError `no-space`, `storage-failed` where the disk is at fault */
export class Statement<Parameters extends unknown[], Row> {
  readonly #prepared: SQLite.Statement<unknown[], unknown>;

  constructor(prepared: SQLite.Statement<unknown[], unknown>) {
    this.#prepared = prepared;
  }

  run(...parameters: Parameters): SQLite.RunResult {
    try {
      return this.#prepared.run(...parameters);
    } catch (error) {
      throw storageFailure(error);
    }
  }

  get(...parameters: Parameters): Row | undefined {
    try {
      return this.#prepared.get(...parameters) as Row | undefined;
    } catch (error) {
      throw storageFailure(error);
    }
  }

  all(...parameters: Parameters): Row[] {
    try {
      return this.#prepared.all(...parameters) as Row[];
    } catch (error) {
      throw storageFailure(error);
    }
  }
}

export class Database implements Persistence {
  readonly #path: string;
  readonly #connection: SQLite.Database;
  readonly #statements = new Map<string, Statement<unknown[], unknown>>();
  readonly #log: number;
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;
  #inTransaction = false;
  #commits = 0;
  #checkpointing: Promise<void> | null = null;
  #times: DatabaseTimes | null = null;
  /** A sync has failed: the kernel may have dropped what it could not write, and told so once only (fsync(2)). */
  #isDoubtful = false;
  readonly #onRollback: (() => void)[] = [];

  /** Opens or makes the database, migrates it, checks it. @throws Error with a message for the operator */
  constructor(path: string) {
    this.#path = path;
    this.#connection = new SQLite(path);
    try {
      this.#connection.pragma("journal_mode = WAL");
      this.#connection.pragma("foreign_keys = ON");
      this.#connection.pragma("synchronous = FULL");
      migrate(this.#connection, path);
      this.#log = openSync(`${path}-wal`, "r+");
      const directory = openSync(dirname(path), "r");
      fsyncSync(directory);
      closeSync(directory);
      this.#connection.pragma("synchronous = NORMAL");
      this.#connection.pragma("wal_autocheckpoint = 0");
      // KiB. better-sqlite3 is built for 16 MB, which would double pages that the kernel keeps anyway.
      this.#connection.pragma("cache_size = -2000");
      this.#connection.pragma(`journal_size_limit = ${keptLogBytes}`);
      // Daemons that were killed before their commits were so many would never have done it.
      if (fstatSync(this.#log).size > keptLogBytes) this.#checkpoint();
    } catch (error) {
      this.#connection.close();
      const { code = "", message } = error as { code?: string; message: string };
      if (!/^SQLITE_(NOTADB|CORRUPT)/.test(code)) throw error;
      throw new Error(`${path} is damaged: ${message}; restore a backup (${path}.before-*, backups/) or move it away`, { cause: error });
    }
  }

  /** The statement for this SQL, prepared once. */
  prepare<Parameters extends unknown[], Row>(sql: string): Statement<Parameters, Row> {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = new Statement(this.#connection.prepare(sql));
      this.#statements.set(sql, statement);
    }
    return statement as unknown as Statement<Parameters, Row>;
  }

  /** One immediate transaction; a call inside another joins it. @throws DomainError `no-space`, `storage-failed`; nothing of it is stored then */
  transaction<T>(work: () => T): T {
    if (this.#inTransaction) return work();
    this.prepare("BEGIN IMMEDIATE").run();
    this.#inTransaction = true;
    try {
      const result = work();
      const began = performance.now();
      this.prepare("COMMIT").run();
      this.#times?.committed((performance.now() - began) / 1000);
      this.#commits += 1;
      if (this.#commits % checkpointCommits === 0) this.#checkpoint();
      return result;
    } catch (error) {
      if (this.#connection.inTransaction) this.prepare("ROLLBACK").run();
      for (const forget of this.#onRollback) forget();
      // The log may have room once it begins anew.
      if (error instanceof DomainError && error.code === "no-space") this.#checkpoint();
      throw error;
    } finally {
      this.#inTransaction = false;
    }
  }

  /** Calls `forget` whenever a transaction was undone: what was remembered from within it never was. */
  onRollback(forget: () => void): void {
    this.#onRollback.push(forget);
  }

  durable(): Promise<void> {
    if (this.#running === null) return this.#sync();
    // A sync that has begun may have missed the caller's commit; the one after it cannot.
    this.#next ??= this.#running.then(
      () => this.#sync(),
      () => this.#sync(),
    );
    return this.#next;
  }

  #sync(): Promise<void> {
    this.#next = null;
    const began = performance.now();
    this.#running = new Promise<void>((resolve, reject) => {
      const done = (error: unknown): void => {
        this.#running = null;
        this.#times?.synced((performance.now() - began) / 1000);
        if (error === null) {
          resolve();
          return;
        }
        this.#isDoubtful = true;
        reject(storageFailure(error));
      };
      if (this.#isDoubtful) done(this.#writeAnew());
      else if (fstatSync(this.#log).nlink === 0)
        done(new DomainError("storage-failed", "the database was deleted under the daemon; restart it"));
      else fdatasync(this.#log, done);
    });
    return this.#running;
  }

  /** Tells from now on how long commits and syncs take. */
  measure(times: DatabaseTimes): void {
    this.#times = times;
  }

  /** Bytes of the database and of its write-ahead log. */
  size(): { database: number; log: number } {
    return { database: statSync(this.#path).size, log: fstatSync(this.#log).size };
  }

  /** Moves all that the log holds into the database, and syncs that: what a failed sync has left in doubt is written a second time. */
  #writeAnew(): unknown {
    try {
      const [result] = this.#connection.pragma("wal_checkpoint(TRUNCATE)") as [{ busy: number }];
      this.#isDoubtful = result.busy !== 0;
      return this.#isDoubtful
        ? new DomainError("storage-failed", "the database's log could not be written anew: a reader is in its way")
        : null;
    } catch (error) {
      return error;
    }
  }

  sqliteVersion(): string {
    return this.prepare<[], { version: string }>("SELECT sqlite_version() AS version").get()?.version ?? "unknown";
  }

  #checkpoint(): void {
    this.#checkpointing ??= checkpoint(this.#path)
      .then(
        ({ log, checkpointed }) => {
          if (log > longLogPages && checkpointed < log) this.#connection.pragma("wal_checkpoint(PASSIVE)");
        },
        // The log only grows until the next attempt.
        () => {},
      )
      .finally(() => {
        this.#checkpointing = null;
      });
  }

  /** Everything durable, checkpointed and closed. */
  async close(): Promise<void> {
    await this.#checkpointing;
    await this.durable();
    this.#statements.clear();
    this.#connection.close();
    closeSync(this.#log);
  }
}
