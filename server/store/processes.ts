import type { ProcessFilter, ProcessRow, ProcessState, ProcessStore } from "../domain/process.ts";
import type { Database } from "./database.ts";

interface Stored {
  sandbox_id: string;
  id: string;
  definition: string;
  state: string;
  started: string | null;
  boot_id: string;
  exit: string | null;
  created_at: number;
}

const json = (value: unknown): string | null => (value === null ? null : JSON.stringify(value));
const parse = <T>(text: string | null): T | null => (text === null ? null : (JSON.parse(text) as T));

const rowOf = (stored: Stored): ProcessRow => ({
  id: stored.id,
  sandboxId: stored.sandbox_id,
  definition: JSON.parse(stored.definition),
  state: stored.state as ProcessState,
  started: parse(stored.started),
  bootId: stored.boot_id,
  exit: parse(stored.exit),
  createdAt: stored.created_at,
});

export class ProcessTable implements ProcessStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  insert({ sandboxId, id, definition, state, started, bootId, exit, createdAt }: ProcessRow): void {
    const sql = `INSERT INTO processes (sandbox_id, id, definition, state, started, boot_id, exit, created_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)`;
    const values = [sandboxId, id, json(definition), state, json(started), bootId, json(exit), createdAt];
    this.#database.prepare<unknown[], never>(sql).run(...values);
  }

  get(sandboxId: string, id: string): ProcessRow | null {
    const stored = this.#database
      .prepare<[string, string], Stored>("SELECT * FROM processes WHERE sandbox_id = ? AND id = ?")
      .get(sandboxId, id);
    return stored === undefined ? null : rowOf(stored);
  }

  update({ sandboxId, id, state, started, exit }: ProcessRow): void {
    const sql = "UPDATE processes SET state = ?, started = ?, exit = ?, ended_at = ? WHERE sandbox_id = ? AND id = ?";
    const endedAt = state === "ended" || state === "lost" ? (exit?.exitedAt ?? Date.now()) : null;
    this.#database.prepare<unknown[], never>(sql).run(state, json(started), json(exit), endedAt, sandboxId, id);
  }

  remove(sandboxId: string, id: string): void {
    this.#database.prepare<[string, string], never>("DELETE FROM processes WHERE sandbox_id = ? AND id = ?").run(sandboxId, id);
  }

  list(sandboxId: string, { after, limit, states, labels }: ProcessFilter): ProcessRow[] {
    const conditions = ["sandbox_id = ?", "id > ?"];
    const values: unknown[] = [sandboxId, after ?? ""];
    if (states.length > 0) {
      conditions.push(`state IN (${states.map(() => "?").join(", ")})`);
      values.push(...states);
    }
    for (const [key, value] of Object.entries(labels)) {
      conditions.push("EXISTS (SELECT 1 FROM json_each(definition, '$.labels') WHERE key = ? AND value = ?)");
      values.push(key, value);
    }
    return this.#database
      .prepare<unknown[], Stored>(`SELECT * FROM processes WHERE ${conditions.join(" AND ")} ORDER BY id LIMIT ?`)
      .all(...values, limit)
      .map(rowOf);
  }

  alive(sandboxId: string): ProcessRow[] {
    return this.#database
      .prepare<[string], Stored>("SELECT * FROM processes WHERE sandbox_id = ? AND state IN ('starting', 'running') ORDER BY id")
      .all(sandboxId)
      .map(rowOf);
  }

  aliveIn(): string[] {
    const sql = "SELECT DISTINCT sandbox_id FROM processes WHERE state IN ('starting', 'running')";
    return this.#database
      .prepare<[], { sandbox_id: string }>(sql)
      .all()
      .map(({ sandbox_id }) => sandbox_id);
  }

  prune(sandboxId: string, kept: number): string[] {
    const sql = `SELECT id FROM processes WHERE sandbox_id = ? AND ended_at IS NOT NULL ORDER BY ended_at DESC, id DESC LIMIT -1 OFFSET ?`;
    const ids = this.#database
      .prepare<[string, number], { id: string }>(sql)
      .all(sandboxId, kept)
      .map(({ id }) => id);
    for (const id of ids) this.remove(sandboxId, id);
    return ids;
  }
}
