import type { EventSource, StoredEvent } from "../domain/events.ts";
import type { Events } from "../domain/ports.ts";
import type { Database, Statement } from "./database.ts";

/** What is kept, and how it is pruned: a few rows at once, so that no request waits long. */
export interface Retention {
  events: number;
  milliseconds: number;
  batch: number;
}

const retention: Retention = { events: 100_000, milliseconds: 30 * 86_400_000, batch: 500 };
const pruneMilliseconds = 60_000;
const nextBatchMilliseconds = 100;

interface Stored extends Omit<StoredEvent, "data"> {
  data: string;
}

export class EventStore implements Events, EventSource {
  readonly #database: Database;
  readonly #insert: Statement<[number, string, string, string], never>;
  readonly #waiting = new Set<() => void>();
  #waking = false;

  constructor(database: Database) {
    this.#database = database;
    this.#insert = database.prepare("INSERT INTO events (time, type, subject, data) VALUES (?, ?, ?, ?)");
  }

  append(type: string, subject: string, data: Record<string, unknown>): void {
    this.#insert.run(Date.now(), type, subject, JSON.stringify(data));
    if (this.#waking || this.#waiting.size === 0) return;
    this.#waking = true;
    // Transactions never await, so a microtask runs after the end of this one; if it was rolled back, readers find nothing new.
    queueMicrotask(() => {
      this.#waking = false;
      for (const wake of [...this.#waiting]) wake();
    });
  }

  span(): { first: number; last: number } {
    const sql = "SELECT coalesce((SELECT min(id) FROM events), 1) AS first, coalesce((SELECT max(id) FROM events), 0) AS last";
    return this.#database.prepare<[], { first: number; last: number }>(sql).get() ?? { first: 1, last: 0 };
  }

  page(after: number, limit: number): StoredEvent[] {
    const sql = "SELECT id, time, type, subject, data FROM events WHERE id > ? ORDER BY id LIMIT ?";
    const found = this.#database.prepare<[number, number], Stored>(sql).all(after, limit);
    return found.map((row) => ({ ...row, data: JSON.parse(row.data) }));
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

  /** Deletes up to a batch of the oldest that are too many or too old, never the newest, whose number the next one counts on. Gives how many. */
  prune(now: number = Date.now(), kept: Retention = retention): number {
    const { last } = this.span();
    const sql = "SELECT id, time FROM events WHERE id < ? ORDER BY id LIMIT ?";
    const oldest = this.#database.prepare<[number, number], { id: number; time: number }>(sql).all(last, kept.batch);
    const stays = oldest.findIndex(({ id, time }) => id > last - kept.events && time >= now - kept.milliseconds);
    const gone = stays === -1 ? oldest : oldest.slice(0, stays);
    const newest = gone.at(-1);
    if (newest !== undefined) this.#database.prepare<[number], never>("DELETE FROM events WHERE id <= ?").run(newest.id);
    return gone.length;
  }

  /** Prunes from time to time until the signal is aborted. */
  keepPruned(signal: AbortSignal): void {
    const next = () => {
      if (signal.aborted) return;
      const more = this.prune() === retention.batch;
      setTimeout(next, more ? nextBatchMilliseconds : pruneMilliseconds).unref();
    };
    setTimeout(next, pruneMilliseconds).unref();
  }
}
