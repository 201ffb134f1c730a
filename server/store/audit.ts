import type { AuditEntry, AuditStore, Call } from "../domain/audit.ts";
import type { Database, Statement } from "./database.ts";
import { JournalTable } from "./journal-table.ts";

interface Stored extends Omit<AuditEntry, "replayed" | "callerName"> {
  caller_name: string;
  replayed: 0 | 1;
}

export class AuditTable extends JournalTable<AuditEntry> implements AuditStore {
  readonly #insert: Statement<[Record<string, unknown>], never>;

  constructor(database: Database) {
    super(database, "audit", { entries: 100_000, milliseconds: 90 * 86_400_000, batch: 500 });
    const sql = `INSERT INTO audit (time, caller, caller_name, address, method, route, path, sandbox, status, code, created, replayed, milliseconds)
      VALUES (@time, @caller, @callerName, @address, @method, @route, @path, @sandbox, @status, @code, @created, @replayed, @milliseconds)`;
    this.#insert = database.prepare(sql);
  }

  append(calls: readonly Call[]): void {
    this.database.transaction(() => {
      for (const { replayed, ...call } of calls) this.#insert.run({ ...call, replayed: Number(replayed) });
    });
    this.added();
  }

  page(after: number, limit: number): AuditEntry[] {
    const found = this.database.prepare<[number, number], Stored>("SELECT * FROM audit WHERE id > ? ORDER BY id LIMIT ?").all(after, limit);
    return found.map(({ caller_name: callerName, ...row }) => ({ ...row, callerName, replayed: row.replayed === 1 }));
  }
}
