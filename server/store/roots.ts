import { DomainError } from "../domain/errors.ts";
import type { RootRow, RootStore } from "../domain/root-ports.ts";
import type { Database } from "./database.ts";

interface Stored {
  id: string;
  name: string;
  owner: string | null;
  source: string;
  state: RootRow["state"];
  size_bytes: number | null;
  file_count: number | null;
  created_at: number;
  ready_at: number | null;
}

const columns = "id, name, owner, source, state, size_bytes, file_count, created_at, ready_at";

export class SqlRootStore implements RootStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  insert(row: RootRow): void {
    const statement = this.#database.prepare<(string | number | null)[], never>(
      `INSERT INTO roots (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    try {
      statement.run(
        row.id,
        row.name,
        row.owner,
        JSON.stringify(row.source),
        row.state,
        row.sizeBytes,
        row.fileCount,
        row.createdAt,
        row.readyAt,
      );
    } catch (error) {
      if ((error as { code?: string }).code !== "SQLITE_CONSTRAINT_UNIQUE") throw error;
      throw new DomainError("name-taken", `there is a root named ${row.name} already`, { cause: error });
    }
  }

  find(nameOrId: string): RootRow | null {
    const byId = this.#database.prepare<[string], Stored>(`SELECT ${columns} FROM roots WHERE id = ?`).get(nameOrId);
    const found = byId ?? this.#database.prepare<[string], Stored>(`SELECT ${columns} FROM roots WHERE name = ?`).get(nameOrId);
    return found ? rowOf(found) : null;
  }

  ready(id: string, sizeBytes: number, fileCount: number, readyAt: number): void {
    this.#database
      .prepare<[number, number, number, string], never>(
        "UPDATE roots SET state = 'ready', size_bytes = ?, file_count = ?, ready_at = ? WHERE id = ?",
      )
      .run(sizeBytes, fileCount, readyAt, id);
  }

  remove(id: string): void {
    this.#database.prepare<[string], never>("DELETE FROM roots WHERE id = ?").run(id);
  }

  list(filter: { after: string | null; limit: number; name: string | null; state: RootRow["state"] | null }): RootRow[] {
    const sql = `SELECT ${columns} FROM roots WHERE id > @after AND (@name IS NULL OR name = @name) AND (@state IS NULL OR state = @state) ORDER BY id LIMIT @limit`;
    const found = this.#database
      .prepare<[Record<string, string | number | null>], Stored>(sql)
      .all({ ...filter, after: filter.after ?? "" });
    return found.map(rowOf);
  }

  all(): RootRow[] {
    return this.#database.prepare<[], Stored>(`SELECT ${columns} FROM roots ORDER BY id`).all().map(rowOf);
  }

  users(id: string): { id: string; name: string }[] {
    return this.#database
      .prepare<[string], { id: string; name: string }>("SELECT id, name FROM sandboxes WHERE root_id = ? ORDER BY id")
      .all(id);
  }

  userCount(id: string): number {
    return (
      this.#database.prepare<[string], { count: number }>("SELECT count(*) AS count FROM sandboxes WHERE root_id = ?").get(id)?.count ?? 0
    );
  }

  countOf(owner: string): number {
    return (
      this.#database.prepare<[string], { count: number }>("SELECT count(*) AS count FROM roots WHERE owner = ?").get(owner)?.count ?? 0
    );
  }

  marked(marker: string): boolean {
    return this.#database.prepare<[string], { name: string }>("SELECT name FROM markers WHERE name = ?").get(marker) !== undefined;
  }

  mark(marker: string, time: number): void {
    this.#database.prepare<[string, number], never>("INSERT OR IGNORE INTO markers (name, time) VALUES (?, ?)").run(marker, time);
  }
}

const rowOf = (stored: Stored): RootRow => ({
  id: stored.id,
  name: stored.name,
  owner: stored.owner,
  source: JSON.parse(stored.source),
  state: stored.state,
  sizeBytes: stored.size_bytes,
  fileCount: stored.file_count,
  createdAt: stored.created_at,
  readyAt: stored.ready_at,
});
