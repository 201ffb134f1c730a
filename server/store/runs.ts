import { labelsSeen } from "../domain/callers.ts";
import type { RunFilter, RunRow, RunState, RunStore } from "../domain/run.ts";
import type { Database } from "./database.ts";

interface Stored {
  id: string;
  caller: string;
  state: RunState;
  root: string;
  labels: string;
  sandbox_id: string | null;
  result: string | null;
  problem: string | null;
  created_at: number;
  started_at: number | null;
  ended_at: number | null;
}

const json = (value: unknown): string | null => (value === null ? null : JSON.stringify(value));

const rowOf = (stored: Stored): RunRow => ({
  id: stored.id,
  caller: stored.caller,
  state: stored.state,
  root: stored.root,
  labels: JSON.parse(stored.labels),
  sandboxId: stored.sandbox_id,
  result: stored.result === null ? null : JSON.parse(stored.result),
  problem: stored.problem === null ? null : JSON.parse(stored.problem),
  createdAt: stored.created_at,
  startedAt: stored.started_at,
  endedAt: stored.ended_at,
});

/** All but what may be large. */
const columns = "id, caller, state, root, labels, sandbox_id, problem, created_at, started_at, ended_at";

export class RunTable implements RunStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  insert({ id, caller, state, root, labels, createdAt }: RunRow, input: string): void {
    const sql = "INSERT INTO runs (id, caller, state, root, labels, input, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)";
    this.#database.prepare<unknown[], never>(sql).run(id, caller, state, root, json(labels), input, createdAt);
  }

  get(id: string): RunRow | null {
    const stored = this.#database.prepare<[string], Stored>(`SELECT ${columns}, result FROM runs WHERE id = ?`).get(id);
    return stored === undefined ? null : rowOf(stored);
  }

  input(id: string): string | null {
    const sql = "SELECT input FROM runs WHERE id = ?";
    return this.#database.prepare<[string], { input: string | null }>(sql).get(id)?.input ?? null;
  }

  update({ id, state, sandboxId, result, problem, startedAt, endedAt }: RunRow): void {
    const text = json(result);
    const sql = `UPDATE runs SET state = ?, sandbox_id = ?, result = ?, problem = ?, bytes = ?, started_at = ?, ended_at = ?,
      input = iif(? IS NULL, input, NULL) WHERE id = ?`;
    const values = [state, sandboxId, text, json(problem), Buffer.byteLength(text ?? ""), startedAt, endedAt, endedAt, id];
    this.#database.prepare<unknown[], never>(sql).run(...values);
  }

  list({ view, after, limit, states, labels }: RunFilter): RunRow[] {
    const conditions = ["id > ?"];
    const values: unknown[] = [after ?? ""];
    if (states.length > 0) {
      conditions.push(`state IN (${states.map(() => "?").join(", ")})`);
      values.push(...states);
    }
    if (view !== null && "owner" in view) {
      conditions.push("caller = ?");
      values.push(view.owner);
    }
    for (const [key, value] of [...Object.entries(labels), ...labelsSeen(view)]) {
      conditions.push("EXISTS (SELECT 1 FROM json_each(labels) WHERE key = ? AND value = ?)");
      values.push(key, value);
    }
    return this.#database
      .prepare<unknown[], Stored>(`SELECT ${columns}, NULL AS result FROM runs WHERE ${conditions.join(" AND ")} ORDER BY id LIMIT ?`)
      .all(...values, limit)
      .map(rowOf);
  }

  unfinished(): { row: RunRow; inputBytes: number }[] {
    const sql = `SELECT ${columns}, NULL AS result, octet_length(input) AS input_bytes FROM runs WHERE ended_at IS NULL ORDER BY id`;
    return this.#database
      .prepare<[], Stored & { input_bytes: number | null }>(sql)
      .all()
      .map((stored) => ({ row: rowOf(stored), inputBytes: stored.input_bytes ?? 0 }));
  }

  countUnfinished(): { queued: number; running: number } {
    const sql = "SELECT state, count(*) AS count FROM runs WHERE ended_at IS NULL GROUP BY state";
    const rows = this.#database.prepare<[], { state: RunState; count: number }>(sql).all();
    const of = (wanted: RunState): number => rows.find(({ state }) => state === wanted)?.count ?? 0;
    return { queued: of("queued"), running: of("running") };
  }

  prune(since: number, count: number, bytes: number): string[] {
    const sql = `DELETE FROM runs WHERE id IN (
      SELECT id FROM (
        SELECT id, ended_at, row_number() OVER newest AS place, sum(bytes) OVER newest AS total
        FROM runs WHERE ended_at IS NOT NULL WINDOW newest AS (ORDER BY ended_at DESC, id DESC)
      ) WHERE ended_at < ? OR place > ? OR total > ?) RETURNING id`;
    return this.#database
      .prepare<[number, number, number], { id: string }>(sql)
      .all(since, count, bytes)
      .map(({ id }) => id);
  }
}
