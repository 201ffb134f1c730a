import type { StoredEvent } from "../domain/events.ts";
import type { Events } from "../domain/ports.ts";
import type { Database, Statement } from "./database.ts";
import { JournalTable, type Retention } from "./journal-table.ts";

interface Stored extends Omit<StoredEvent, "data"> {
  data: string;
}

export class EventStore extends JournalTable<StoredEvent> implements Events {
  readonly #insert: Statement<[number, string, string, string], never>;

  constructor(database: Database) {
    super(database, "events", { entries: 100_000, milliseconds: 30 * 86_400_000, batch: 500 });
    this.#insert = database.prepare("INSERT INTO events (time, type, subject, data) VALUES (?, ?, ?, ?)");
  }

  /** As all journals do; whose sandboxes were that no event tells of any more is forgotten, too. */
  override prune(now?: number, kept?: Retention): number {
    const gone = super.prune(now, kept);
    // The event of its end is written a moment after it.
    if (gone > 0) this.database.prepare<[], never>("DELETE FROM departed WHERE deleted_at < (SELECT min(time) FROM events) - 60000").run();
    return gone;
  }

  append(type: string, subject: string, data: Record<string, unknown>): void {
    this.#insert.run(Date.now(), type, subject, JSON.stringify(data));
    this.added();
  }

  page(after: number, limit: number): StoredEvent[] {
    const sql = "SELECT id, time, type, subject, data FROM events WHERE id > ? ORDER BY id LIMIT ?";
    const found = this.database.prepare<[number, number], Stored>(sql).all(after, limit);
    return found.map((row) => ({ ...row, data: JSON.parse(row.data) }));
  }
}
