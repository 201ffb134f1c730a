import type { IdempotencyStore, KeyUse, StoredReply } from "../domain/idempotency.ts";
import type { Database } from "./database.ts";

const keptMilliseconds = 24 * 3_600_000;

export class IdempotencyTable implements IdempotencyStore {
  readonly #database: Database;

  /** Keys whose request was cut off by the end of a former daemon are freed: nobody was answered. */
  constructor(database: Database) {
    this.#database = database;
    database.prepare("DELETE FROM idempotency_keys WHERE status IS NULL").run();
  }

  claim(use: KeyUse): ReturnType<IdempotencyStore["claim"]> {
    return this.#database.transaction(() => {
      const { caller, route, key, bodyHash } = use;
      const now = Date.now();
      this.#database.prepare<[number], never>("DELETE FROM idempotency_keys WHERE created_at < ?").run(now - keptMilliseconds);
      const found = this.#database
        .prepare<[string, string, string], { body_hash: string; status: number | null; reply: string | null }>(
          "SELECT body_hash, status, reply FROM idempotency_keys WHERE caller = ? AND route = ? AND key = ?",
        )
        .get(caller, route, key);
      if (found === undefined) {
        const sql = "INSERT INTO idempotency_keys (key, route, caller, body_hash, created_at) VALUES (?, ?, ?, ?, ?)";
        this.#database.prepare<unknown[], never>(sql).run(key, route, caller, bodyHash, now);
        return { kind: "new" };
      }
      if (found.body_hash !== bodyHash) return { kind: "reused" };
      if (found.reply === null) return { kind: "running" };
      return { kind: "replied", reply: JSON.parse(found.reply) as StoredReply };
    });
  }

  settle(use: KeyUse, reply: StoredReply | null): Promise<void> {
    const { caller, route, key } = use;
    if (reply === null) {
      this.#database
        .prepare<unknown[], never>("DELETE FROM idempotency_keys WHERE caller = ? AND route = ? AND key = ?")
        .run(caller, route, key);
      return Promise.resolve();
    }
    const sql = "UPDATE idempotency_keys SET status = ?, reply = ? WHERE caller = ? AND route = ? AND key = ?";
    this.#database.prepare<unknown[], never>(sql).run(reply.status, JSON.stringify(reply), caller, route, key);
    return this.#database.durable();
  }
}
