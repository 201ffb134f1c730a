import type { OperationRow, OperationState, OperationStore } from "../domain/root-ports.ts";
import type { Database } from "./database.ts";

interface Stored {
  id: string;
  kind: string;
  subject: string;
  state: OperationState;
  phase: string;
  progress: number | null;
  result: string | null;
  problem: string | null;
  input: string | null;
  created_at: number;
  ended_at: number | null;
}

const columns = "id, kind, subject, state, phase, progress, result, problem, input, created_at, ended_at";

export class SqlOperationStore implements OperationStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  insert(row: OperationRow): void {
    this.#database
      .prepare<(string | number | null)[], never>(`INSERT INTO operations (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
      .run(
        row.id,
        row.kind,
        row.subject,
        row.state,
        row.phase,
        row.progress,
        json(row.result),
        json(row.problem),
        json(row.input),
        row.createdAt,
        row.endedAt,
      );
  }

  get(id: string): OperationRow | null {
    const found = this.#database.prepare<[string], Stored>(`SELECT ${columns} FROM operations WHERE id = ?`).get(id);
    return found ? rowOf(found) : null;
  }

  update(row: OperationRow): void {
    this.#database
      .prepare<(string | number | null)[], never>(
        "UPDATE operations SET state = ?, phase = ?, progress = ?, result = ?, problem = ?, ended_at = ? WHERE id = ?",
      )
      .run(row.state, row.phase, row.progress, json(row.result), json(row.problem), row.endedAt, row.id);
  }

  list(filter: { after: string | null; limit: number; state: OperationState | null; subject: string | null }): OperationRow[] {
    const sql = `SELECT ${columns} FROM operations WHERE id > @after AND (@state IS NULL OR state = @state) AND (@subject IS NULL OR subject = @subject) ORDER BY id LIMIT @limit`;
    const found = this.#database
      .prepare<[Record<string, string | number | null>], Stored>(sql)
      .all({ ...filter, after: filter.after ?? "" });
    return found.map(rowOf);
  }

  counts(): { kind: string; state: OperationState; count: number }[] {
    const sql = "SELECT kind, state, count(*) AS count FROM operations GROUP BY kind, state";
    return this.#database.prepare<[], { kind: string; state: OperationState; count: number }>(sql).all();
  }

  prune(kept: number): void {
    const sql = `DELETE FROM operations WHERE state <> 'running' AND id < (SELECT id FROM operations ORDER BY id DESC LIMIT 1 OFFSET ?)`;
    this.#database.prepare<[number], never>(sql).run(kept);
  }

  running(): OperationRow[] {
    return this.#database.prepare<[], Stored>(`SELECT ${columns} FROM operations WHERE state = 'running'`).all().map(rowOf);
  }
}

const json = (value: unknown): string | null => (value === null ? null : JSON.stringify(value));

const rowOf = (stored: Stored): OperationRow => ({
  id: stored.id,
  kind: stored.kind,
  subject: stored.subject,
  state: stored.state,
  phase: stored.phase,
  progress: stored.progress,
  result: stored.result === null ? null : JSON.parse(stored.result),
  problem: stored.problem === null ? null : JSON.parse(stored.problem),
  input: stored.input === null ? null : JSON.parse(stored.input),
  createdAt: stored.created_at,
  endedAt: stored.ended_at,
});
