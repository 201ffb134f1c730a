import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Caller, Scope, View } from "./callers.ts";
import { DomainError } from "./errors.ts";
import { newId } from "./ids.ts";
import type { Events, Persistence } from "./ports.ts";
import type { Quotas } from "./quotas.ts";

/** A token as it is stored: of its secret only the digest. Times are milliseconds since 1970. */
export interface TokenRow {
  id: string;
  name: string;
  /** SHA-256 of the secret, 32 bytes. The secret is 256 bits of chance, so nothing slower and no salt is needed. */
  digest: Buffer;
  scope: Scope;
  /** Labels of the sandboxes and runs that it sees, whoever made them; none: all; null: those that it made. */
  selector: Record<string, string> | null;
  quotas: Quotas;
  createdAt: number;
  expiresAt: number | null;
  lastUsedAt: number | null;
}

export interface TokenStore {
  /** @throws DomainError `name-taken` */
  insert(row: TokenRow): void;
  remove(id: string): void;
  used(id: string, time: number): void;
  /** Oldest first. */
  all(): TokenRow[];
}

export interface TokenInput {
  name: string;
  scopes: readonly Scope[];
  selector?: Record<string, string> | null;
  quotas?: Quotas;
  ttlSeconds?: number;
}

/** How exactly the time of last use is known: it is written once in so many milliseconds, not at each request. */
const usedMilliseconds = 60_000;
/** How long one that has expired is still listed. */
const expiredMilliseconds = 30 * 86_400_000;
/** Told from other secrets by those who search for such things. */
const prefix = "unshared_";

/** Whoever may change what all share sees all. */
const viewOf = ({ id, scope, selector }: TokenRow): View => {
  if (scope === "admin") return null;
  if (selector === null) return { owner: id };
  return Object.keys(selector).length === 0 ? null : { labels: selector };
};

export const digestOf = (secret: string): Buffer => createHash("sha256").update(secret).digest();

/** Tokens of TCP besides the one in the daemon's token file. All of them are in memory; this process alone writes their table. */
export class Tokens {
  readonly #store: TokenStore;
  readonly #events: Events;
  readonly #persistence: Persistence;
  readonly #rows = new Map<string, TokenRow>();
  readonly #byDigest = new Map<string, TokenRow>();
  readonly #revoked: ((id: string) => void)[] = [];

  constructor(store: TokenStore, events: Events, persistence: Persistence) {
    this.#store = store;
    this.#events = events;
    this.#persistence = persistence;
    for (const row of store.all()) this.#remember(row);
  }

  /** Calls `hear` with the id of each token that is revoked. */
  onRevoked(hear: (id: string) => void): void {
    this.#revoked.push(hear);
  }

  /** Makes a token; its secret is given here and nowhere else. @throws DomainError `name-taken`, `invalid-definition` */
  async create({ name, scopes, selector = null, quotas = {}, ttlSeconds }: TokenInput): Promise<{ row: TokenRow; secret: string }> {
    if (selector !== null && scopes.includes("admin")) {
      const faults = [{ pointer: "/selector", detail: "cannot confine the scope admin" }];
      throw new DomainError("invalid-definition", "a token with the scope admin sees all: leave selector out", { faults });
    }
    const secret = `${prefix}${randomBytes(32).toString("base64url")}`;
    const now = Date.now();
    const row: TokenRow = {
      id: newId(),
      name,
      digest: digestOf(secret),
      scope: scopes.includes("admin") ? "admin" : scopes.includes("run") ? "run" : "read",
      selector,
      quotas,
      createdAt: now,
      expiresAt: ttlSeconds === undefined ? null : now + ttlSeconds * 1000,
      lastUsedAt: null,
    };
    this.#forgetExpired(now);
    this.#persistence.transaction(() => {
      this.#store.insert(row);
      this.#events.append("token.created", row.id, { name, scope: row.scope });
    });
    this.#remember(row);
    await this.#persistence.durable();
    return { row, secret };
  }

  /** One page, oldest first, and the cursor of the next one. */
  list({ after, limit }: { after: string | null; limit: number }): { items: TokenRow[]; nextCursor: string | null } {
    const rows = [...this.#rows.values()].filter(({ id }) => after === null || id > after);
    const items = rows.slice(0, limit);
    return { items, nextCursor: rows.length > limit ? (items.at(-1)?.id ?? null) : null };
  }

  /** Nobody gets in by it from now on. What was made with it stays. @throws DomainError `token-not-found` */
  async revoke(nameOrId: string): Promise<void> {
    const row = this.#rows.get(nameOrId) ?? [...this.#rows.values()].find(({ name }) => name === nameOrId);
    if (row === undefined) throw new DomainError("token-not-found", `no token has the id or name "${nameOrId}"`);
    this.#persistence.transaction(() => {
      this.#store.remove(row.id);
      this.#events.append("token.revoked", row.id, { name: row.name });
    });
    this.#forget(row);
    for (const hear of this.#revoked) hear(row.id);
    await this.#persistence.durable();
  }

  /** Whose secret this is; null: nobody's. @throws DomainError `unauthorized` when its time is over */
  caller(secret: string): Caller | null {
    const digest = digestOf(secret);
    const row = this.#byDigest.get(digest.toString("hex"));
    if (row === undefined || !timingSafeEqual(digest, row.digest)) return null;
    const now = Date.now();
    if (row.expiresAt !== null && row.expiresAt <= now) throw new DomainError("unauthorized", "the token has expired");
    if (now - (row.lastUsedAt ?? 0) >= usedMilliseconds) {
      row.lastUsedAt = now;
      this.#store.used(row.id, now);
    }
    return { id: row.id, name: row.name, scope: row.scope, view: viewOf(row), quotas: row.quotas, expiresAt: row.expiresAt };
  }

  /** None of one that is revoked. */
  quotasOf(id: string): Quotas {
    return this.#rows.get(id)?.quotas ?? {};
  }

  #forgetExpired(now: number): void {
    for (const row of [...this.#rows.values()]) {
      if (row.expiresAt === null || row.expiresAt > now - expiredMilliseconds) continue;
      this.#store.remove(row.id);
      this.#forget(row);
    }
  }

  #remember(row: TokenRow): void {
    this.#rows.set(row.id, row);
    this.#byDigest.set(row.digest.toString("hex"), row);
  }

  #forget(row: TokenRow): void {
    this.#rows.delete(row.id);
    this.#byDigest.delete(row.digest.toString("hex"));
  }
}
