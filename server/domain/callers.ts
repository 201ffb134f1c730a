/** Who asks, and what that lets them do. */

/** Each includes those before it. `read`: look; `run`: sandboxes with all that is in them, and runs; `admin`: what all share. */
export const scopes = ["read", "run", "admin"] as const;
export type Scope = (typeof scopes)[number];

export const reaches = (scope: Scope, needed: Scope): boolean => scopes.indexOf(scope) >= scopes.indexOf(needed);

/** Whoever sent a request. */
export interface Caller {
  /** `unix`, `token` for the daemon's token file, or the id of a token: whose idempotency keys and turns in the queue of runs they are. */
  id: string;
  /** Of the token; else as the id. */
  name: string;
  scope: Scope;
  /** When it may ask no more: milliseconds since 1970; null: no such time. */
  expiresAt: number | null;
}

/** Who has the socket, or the daemon's token file, is the host's own administrator. */
export const administrator = (id: "unix" | "token"): Caller => ({ id, name: id, scope: "admin", expiresAt: null });
