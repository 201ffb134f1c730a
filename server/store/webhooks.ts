import type { WebhookRow, WebhookStore } from "../domain/webhooks.ts";
import type { Database } from "./database.ts";

/** The row as it is stored: under the names of its members, `types` as JSON. */
type Stored = Omit<WebhookRow, "types"> & { types: string };

export class WebhookTable implements WebhookStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  insert({ types, ...row }: WebhookRow): void {
    const sql = `INSERT INTO webhooks (id, url, secret, types, sandbox, max_attempts, timeout_seconds, created_at, cursor, delivered, dead_letters, gaps)
      VALUES (@id, @url, @secret, @types, @sandbox, @maxAttempts, @timeoutSeconds, @createdAt, @cursor, @delivered, @deadLetters, @gaps)`;
    this.#database.prepare<[Stored], never>(sql).run({ ...row, types: JSON.stringify(types) });
  }

  remove(id: string): void {
    this.#database.prepare<[string], never>("DELETE FROM webhooks WHERE id = ?").run(id);
  }

  progress({ id, cursor, delivered, deadLetters, gaps, lastDeliveredAt, lastFailure }: WebhookRow): void {
    const sql =
      "UPDATE webhooks SET cursor = ?, delivered = ?, dead_letters = ?, gaps = ?, last_delivered_at = ?, last_failure = ? WHERE id = ?";
    this.#database
      .prepare<(string | number | null)[], never>(sql)
      .run(cursor, delivered, deadLetters, gaps, lastDeliveredAt, lastFailure, id);
  }

  all(): WebhookRow[] {
    const sql = `SELECT id, url, secret, types, sandbox, max_attempts AS maxAttempts, timeout_seconds AS timeoutSeconds, created_at AS createdAt, cursor,
      delivered, dead_letters AS deadLetters, gaps, last_delivered_at AS lastDeliveredAt, last_failure AS lastFailure FROM webhooks ORDER BY id`;
    return this.#database
      .prepare<[], Stored>(sql)
      .all()
      .map((row) => ({ ...row, types: JSON.parse(row.types) }));
  }
}
