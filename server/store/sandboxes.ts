import { labelsSeen, type Owned } from "../domain/callers.ts";
import { DomainError } from "../domain/errors.ts";
import type { State } from "../domain/lifecycle.ts";
import type { UsageStore } from "../domain/quotas.ts";
import type { SandboxFilter, SandboxRow, SandboxStore } from "../domain/sandbox-ports.ts";
import type { Database } from "./database.ts";

interface Stored {
  id: string;
  name: string;
  owner: string | null;
  root_id: string | null;
  root_name: string | null;
  definition: string;
  labels: string;
  generation: number;
  state: string;
  reason: string | null;
  message: string | null;
  since: number;
  exit: string | null;
  instance: string | null;
  boot_id: string | null;
  receipt: string | null;
  created_at: number;
  started_at: number | null;
  stop_by: number | null;
  expires_at: number | null;
  idle_at: number | null;
  restart_at: number | null;
  restart_count: number;
}

const recentRows = 256;
const isAlive = "s.state IN ('starting', 'running', 'paused', 'stopping')";
/** Of a boot of the host: its id follows. */
const clockMarker = "clock ";

const select = "SELECT s.*, r.name AS root_name FROM sandboxes s LEFT JOIN roots r ON r.id = s.root_id";

const json = (value: unknown): string | null => (value === null ? null : JSON.stringify(value));
const parse = <T>(text: string | null): T | null => (text === null ? null : (JSON.parse(text) as T));

const rowOf = (stored: Stored): SandboxRow => {
  const labels = JSON.parse(stored.labels);
  // Name and labels change after creation; their columns are what holds.
  const definition = { ...JSON.parse(stored.definition), name: stored.name, labels };
  return { ...columnsOf(stored), definition, labels };
};

const columnsOf = (stored: Stored): Omit<SandboxRow, "definition" | "labels"> => ({
  id: stored.id,
  name: stored.name,
  owner: stored.owner,
  rootId: stored.root_id,
  rootName: stored.root_name,
  generation: stored.generation,
  state: stored.state as State,
  reason: stored.reason,
  message: stored.message,
  since: stored.since,
  exit: parse(stored.exit),
  instance: parse(stored.instance),
  bootId: stored.boot_id,
  receipt: parse(stored.receipt),
  createdAt: stored.created_at,
  startedAt: stored.started_at,
  stopBy: stored.stop_by,
  schedule: {
    expiresAt: stored.expires_at,
    idleAt: stored.idle_at,
    restartAt: stored.restart_at,
    restartCount: stored.restart_count,
  },
});

export class SandboxTable implements SandboxStore, UsageStore {
  readonly #database: Database;
  /**
   * The rows used last, by id: a launch or a stop looks at its row at every step. This process alone writes the database
   * (daemon-lock.ts), and nobody changes a row in place.
   */
  readonly #recent = new Map<string, SandboxRow>();

  constructor(database: Database) {
    this.#database = database;
    database.onRollback(() => this.#recent.clear());
  }

  insert(row: SandboxRow): void {
    const { name } = row;
    const values = {
      id: row.id,
      name,
      owner: row.owner,
      root_id: row.rootId,
      definition: json(row.definition),
      labels: json(row.labels),
      generation: row.generation,
      state: row.state,
      reason: row.reason,
      message: row.message,
      since: row.since,
      exit: json(row.exit),
      instance: json(row.instance),
      boot_id: row.bootId,
      receipt: json(row.receipt),
      created_at: row.createdAt,
      started_at: row.startedAt,
      stop_by: row.stopBy,
    };
    const columns = Object.keys(values);
    const sql = `INSERT INTO sandboxes (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`;
    named(name, () => this.#database.prepare<unknown[], never>(sql).run(...Object.values(values)));
    this.#remember(row);
  }

  find(nameOrId: string): SandboxRow | null {
    return this.get(nameOrId) ?? this.#one(`${select} WHERE s.name = ?`, nameOrId);
  }

  get(id: string): SandboxRow | null {
    return this.#recent.get(id) ?? this.#remember(this.#one(`${select} WHERE s.id = ?`, id));
  }

  update(row: SandboxRow): void {
    // Only what a transition changes: an UPDATE that names an indexed column rewrites its index, a page of the log for each.
    const sql = `UPDATE sandboxes SET state = ?, reason = ?, message = ?, since = ?, exit = ?, instance = ?, boot_id = ?, receipt = ?, started_at = ?, stop_by = ?
      WHERE id = ?`;
    const { id, state, reason, message, since, exit, instance, bootId, receipt, startedAt, stopBy } = row;
    const values = [state, reason, message, since, json(exit), json(instance), bootId, json(receipt), startedAt, stopBy, id];
    if (this.#database.prepare<unknown[], never>(sql).run(...values).changes > 0) this.#remember(row);
  }

  schedule(row: SandboxRow): void {
    const sql = "UPDATE sandboxes SET expires_at = ?, idle_at = ?, restart_at = ?, restart_count = ? WHERE id = ?";
    const { id, schedule } = row;
    const values = [schedule.expiresAt, schedule.idleAt, schedule.restartAt, schedule.restartCount, id];
    if (this.#database.prepare<unknown[], never>(sql).run(...values).changes > 0) this.#remember(row);
  }

  moveSchedules(milliseconds: number): void {
    this.#recent.clear();
    const sql =
      "UPDATE sandboxes SET expires_at = expires_at + @by, idle_at = idle_at + @by, restart_at = restart_at + @by, stop_by = stop_by + @by";
    this.#database.prepare<[{ by: number }], never>(sql).run({ by: milliseconds });
  }

  clockOffset(bootId: string): number | null {
    return (
      this.#database.prepare<[string], { time: number }>("SELECT time FROM markers WHERE name = ?").get(clockMarker + bootId)?.time ?? null
    );
  }

  keepClockOffset(bootId: string, milliseconds: number): void {
    this.#database.prepare<[string], never>("DELETE FROM markers WHERE name GLOB ?").run(`${clockMarker}*`);
    this.#database
      .prepare<[string, number], never>("INSERT INTO markers (name, time) VALUES (?, ?)")
      .run(clockMarker + bootId, milliseconds);
  }

  due(now: number, limit: number): SandboxRow[] {
    return this.#database
      .prepare<[number, number], Stored>(`${select} WHERE s.due_at IS NOT NULL AND s.due_at <= ? ORDER BY s.due_at LIMIT ?`)
      .all(now, limit)
      .map(rowOf);
  }

  nextDue(now: number): number | null {
    const sql = "SELECT min(due_at) AS at FROM sandboxes WHERE due_at IS NOT NULL AND due_at > ?";
    return this.#database.prepare<[number], { at: number | null }>(sql).get(now)?.at ?? null;
  }

  redefine(row: SandboxRow): void {
    const { id, name, labels, definition, generation } = row;
    const sql = "UPDATE sandboxes SET name = ?, labels = ?, definition = ?, generation = ? WHERE id = ?";
    const statement = this.#database.prepare<unknown[], never>(sql);
    if (named(name, () => statement.run(name, json(labels), json(definition), generation, id).changes) > 0) this.#remember(row);
  }

  remove(id: string): void {
    this.#recent.delete(id);
    const depart = `INSERT INTO departed (id, owner, labels, deleted_at)
      SELECT id, owner, labels, ? FROM sandboxes WHERE id = ? AND (owner IS NOT NULL OR labels <> '{}')`;
    this.#database.prepare<[number, string], never>(depart).run(Date.now(), id);
    this.#database.prepare<[string], never>("DELETE FROM sandboxes WHERE id = ?").run(id);
  }

  usage(owner: string, but: string): ReturnType<UsageStore["usage"]> {
    const isRunning = "state IN ('starting', 'running', 'paused', 'stopping') OR restart_at IS NOT NULL";
    const sql = `SELECT count(*) AS sandboxes, total(${isRunning}) AS running,
      total(iif(${isRunning}, definition ->> '$.limits.memoryBytes', 0)) AS memoryBytes, total(definition ->> '$.limits.diskBytes') AS diskBytes
      FROM sandboxes WHERE owner = ? AND id <> ?`;
    return this.#database.prepare<[string, string], ReturnType<UsageStore["usage"]>>(sql).get(owner, but) as ReturnType<
      UsageStore["usage"]
    >;
  }

  departed(id: string): Owned | null {
    const sql = "SELECT owner, labels FROM departed WHERE id = ?";
    const found = this.#database.prepare<[string], { owner: string | null; labels: string }>(sql).get(id);
    return found === undefined ? null : { owner: found.owner, labels: JSON.parse(found.labels) };
  }

  list(filter: SandboxFilter): SandboxRow[] {
    const conditions: string[] = [];
    const values: unknown[] = [];
    const where = (condition: string, ...bound: unknown[]) => {
      conditions.push(condition);
      values.push(...bound);
    };
    if (filter.after !== null) where("s.id > ?", filter.after);
    if (filter.name !== null) where("s.name = ?", filter.name);
    if (filter.states.length > 0) where(`s.state IN (${filter.states.map(() => "?").join(", ")})`, ...filter.states);
    if (filter.view !== null && "owner" in filter.view) where("s.owner = ?", filter.view.owner);
    for (const [key, value] of [...Object.entries(filter.labels), ...labelsSeen(filter.view)])
      where("EXISTS (SELECT 1 FROM json_each(s.labels) WHERE key = ? AND value = ?)", key, value);
    const condition = conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`;
    return this.#database
      .prepare<unknown[], Stored>(`${select}${condition} ORDER BY s.id LIMIT ?`)
      .all(...values, filter.limit)
      .map(rowOf);
  }

  alive(): SandboxRow[] {
    return this.#database.prepare<[], Stored>(`${select} WHERE ${isAlive} ORDER BY s.id`).all().map(rowOf);
  }

  idleUncounted(): SandboxRow[] {
    const may = "s.state != 'stopping' AND s.idle_at IS NULL AND json_extract(s.definition, '$.lifetime.idleSeconds') IS NOT NULL";
    return this.#database.prepare<[], Stored>(`${select} WHERE ${isAlive} AND ${may}`).all().map(rowOf);
  }

  aliveIds(): string[] {
    const rows = this.#database.prepare<[], { id: string }>(`SELECT s.id FROM sandboxes s WHERE ${isAlive} ORDER BY s.id`).all();
    return rows.map(({ id }) => id);
  }

  deleting(): SandboxRow[] {
    const condition = "s.instance IS NULL AND s.receipt ->> '$.complete' = 0 AND s.receipt ->> '$.reason' IN ('deleted', 'expired')";
    return this.#database.prepare<[], Stored>(`${select} WHERE ${condition} ORDER BY s.id`).all().map(rowOf);
  }

  ids(): string[] {
    return this.#database
      .prepare<[], { id: string }>("SELECT id FROM sandboxes")
      .all()
      .map(({ id }) => id);
  }

  usersOfRoot(rootId: string): { id: string; name: string }[] {
    return this.#database
      .prepare<[string], { id: string; name: string }>("SELECT id, name FROM sandboxes WHERE root_id = ? ORDER BY id")
      .all(rootId);
  }

  countByState(): Record<string, number> {
    const rows = this.#database
      .prepare<[], { state: string; n: number }>("SELECT state, count(*) AS n FROM sandboxes GROUP BY state")
      .all();
    return Object.fromEntries(rows.map(({ state, n }) => [state, n]));
  }

  #remember<Row extends SandboxRow | null>(row: Row): Row {
    if (row === null) return row;
    this.#recent.delete(row.id);
    this.#recent.set(row.id, row);
    const [oldest] = this.#recent.size > recentRows ? this.#recent.keys() : [];
    if (oldest !== undefined) this.#recent.delete(oldest);
    return row;
  }

  #one(sql: string, value: string): SandboxRow | null {
    const stored = this.#database.prepare<[string], Stored>(sql).get(value);
    return stored === undefined ? null : rowOf(stored);
  }
}

const named = <Result>(name: string, write: () => Result): Result => {
  try {
    return write();
  } catch (error) {
    if ((error as { code?: string }).code === "SQLITE_CONSTRAINT_UNIQUE")
      throw new DomainError("name-taken", `a sandbox named "${name}" exists`, { cause: error });
    if ((error as { code?: string }).code === "SQLITE_CONSTRAINT_FOREIGNKEY")
      throw new DomainError("root-not-found", "the root was removed meanwhile", { cause: error });
    throw error;
  }
};
