import type { Scope } from "../domain/callers.ts";
import { DomainError } from "../domain/errors.ts";
import type { TokenRow, TokenStore } from "../domain/tokens.ts";
import type { Database } from "./database.ts";

interface Stored {
  id: string;
  name: string;
  digest: Buffer;
  scope: Scope;
  selector: string | null;
  quotas: string;
  created_at: number;
  expires_at: number | null;
  last_used_at: number | null;
}

const columns = "id, name, digest, scope, selector, quotas, created_at, expires_at, last_used_at";

export class TokenTable implements TokenStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  insert({ id, name, digest, scope, selector, quotas, createdAt, expiresAt, lastUsedAt }: TokenRow): void {
    const statement = this.#database.prepare<unknown[], never>(`INSERT INTO tokens (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`);
    try {
      statement.run(
        id,
        name,
        digest,
        scope,
        selector && JSON.stringify(selector),
        JSON.stringify(quotas),
        createdAt,
        expiresAt,
        lastUsedAt,
      );
    } catch (error) {
      if ((error as { code?: string }).code !== "SQLITE_CONSTRAINT_UNIQUE") throw error;
      throw new DomainError("name-taken", `there is a token named ${name} already`, { cause: error });
    }
  }

  remove(id: string): void {
    this.#database.prepare<[string], never>("DELETE FROM tokens WHERE id = ?").run(id);
  }

  used(id: string, time: number): void {
    this.#database.prepare<[number, string], never>("UPDATE tokens SET last_used_at = ? WHERE id = ?").run(time, id);
  }

  all(): TokenRow[] {
    const rows = this.#database.prepare<[], Stored>(`SELECT ${columns} FROM tokens ORDER BY id`).all();
    return rows.map(({ selector, quotas, created_at, expires_at, last_used_at, ...rest }) => ({
      ...rest,
      selector: selector === null ? null : JSON.parse(selector),
      quotas: JSON.parse(quotas),
      createdAt: created_at,
      expiresAt: expires_at,
      lastUsedAt: last_used_at,
    }));
  }
}
