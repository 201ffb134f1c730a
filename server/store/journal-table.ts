import type { Journal } from "../domain/journal.ts";
import type { Database } from "./database.ts";

/** What is kept, and how it is pruned: a few rows at once, so that no request waits long. */
export interface Retention {
  entries: number;
  milliseconds: number;
  batch: number;
}

const pruneMilliseconds = 60_000;
const nextBatchMilliseconds = 100;

/**
 * A table of entries with the columns `id` (an INTEGER PRIMARY KEY) and `time` that is only added to, and pruned from its front. The
 * newest is never deleted, so no number is given out twice.
 */
export abstract class JournalTable<Entry extends { id: number }> implements Journal<Entry> {
  protected readonly database: Database;
  readonly #table: string;
  readonly #retention: Retention;
  readonly #waiting = new Set<() => void>();
  #waking = false;

  constructor(database: Database, table: string, retention: Retention) {
    this.database = database;
    this.#table = table;
    this.#retention = retention;
  }

  abstract page(after: number, limit: number): Entry[];

  /** Wakes those who wait for new entries once the transaction that adds them is over; if it was rolled back, they find nothing new. */
  protected added(): void {
    if (this.#waking || this.#waiting.size === 0) return;
    this.#waking = true;
    // Transactions never await, so a microtask runs after the end of this one.
    queueMicrotask(() => {
      this.#waking = false;
      for (const wake of [...this.#waiting]) wake();
    });
  }

  span(): { first: number; last: number } {
    const sql = `SELECT coalesce((SELECT min(id) FROM ${this.#table}), 1) AS first, coalesce((SELECT max(id) FROM ${this.#table}), 0) AS last`;
    return this.database.prepare<[], { first: number; last: number }>(sql).get() ?? { first: 1, last: 0 };
  }

  changed(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        signal.removeEventListener("abort", wake);
        this.#waiting.delete(wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake);
    });
  }

  /** Deletes up to a batch of the oldest that are too many or too old. Gives how many. */
  prune(now: number = Date.now(), kept: Retention = this.#retention): number {
    const { last } = this.span();
    const sql = `SELECT id, time FROM ${this.#table} WHERE id < ? ORDER BY id LIMIT ?`;
    const oldest = this.database.prepare<[number, number], { id: number; time: number }>(sql).all(last, kept.batch);
    const stays = oldest.findIndex(({ id, time }) => id > last - kept.entries && time >= now - kept.milliseconds);
    const gone = stays === -1 ? oldest : oldest.slice(0, stays);
    const newest = gone.at(-1);
    if (newest !== undefined) this.database.prepare<[number], never>(`DELETE FROM ${this.#table} WHERE id <= ?`).run(newest.id);
    return gone.length;
  }

  /** Prunes from time to time until the signal is aborted. */
  keepPruned(signal: AbortSignal): void {
    const next = () => {
      if (signal.aborted) return;
      const more = this.prune() === this.#retention.batch;
      setTimeout(next, more ? nextBatchMilliseconds : pruneMilliseconds).unref();
    };
    setTimeout(next, pruneMilliseconds).unref();
  }
}
