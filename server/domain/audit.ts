import type { ErrorCode } from "./errors.ts";
import { sandboxIdOf } from "./events.ts";
import { type Journal, type JournalPiece, type JournalQuery, JournalReader } from "./journal.ts";
import type { Logger, Persistence } from "./ports.ts";
import type { SandboxStore } from "./sandbox-ports.ts";

/** One call that may change something: who asked for what, and what came of it. Bodies and queries, which may hold secrets, are not part of it. */
export interface Call {
  /** When its answer was made: milliseconds since 1970. */
  time: number;
  /** Who asked, as far as that is known: `unix`, `token` for the daemon's token file, the id of a token, or `uid:N` of a local user. */
  caller: string;
  callerName: string;
  /** Where from, over TCP. */
  address: string | null;
  method: string;
  /** The pattern that the path fits. */
  route: string;
  path: string;
  /** The id of the sandbox that it was about. */
  sandbox: string | null;
  /** Of HTTP; 101 for a terminal. */
  status: number;
  code: ErrorCode | null;
  /** The path of what was made. */
  created: string | null;
  /** The answer was that of an earlier call with the same Idempotency-Key, and nothing was done. */
  replayed: boolean;
  milliseconds: number;
}

export interface AuditEntry extends Call {
  id: number;
}

export interface AuditStore extends Journal<AuditEntry> {
  /** In one transaction. */
  append(calls: readonly Call[]): void;
}

export interface AuditQuery extends JournalQuery {
  /** Id or name; the id also of a deleted one. */
  sandbox: string | undefined;
}

/**
 * Keeps what was asked of the daemon and what came of it. Calls are written together at the end of the turn of the event loop
 * in which their answers were made: none waits for it, and a daemon that is killed loses those of one turn.
 */
export class Audit {
  readonly #store: AuditStore;
  readonly #sandboxes: Pick<SandboxStore, "find">;
  readonly #reader: JournalReader<AuditEntry>;
  readonly #log: Logger;
  #waiting: Call[] = [];

  constructor(store: AuditStore, sandboxes: Pick<SandboxStore, "find">, persistence: Persistence, log: Logger) {
    this.#store = store;
    this.#sandboxes = sandboxes;
    this.#reader = new JournalReader(store, persistence, "audit-dropped");
    this.#log = log;
  }

  record(call: Call): void {
    if (this.#waiting.push(call) === 1) setImmediate(() => this.flush());
  }

  /** Writes what waits. Where that fails, the log has it. */
  flush(): void {
    const calls = this.#waiting;
    this.#waiting = [];
    try {
      if (calls.length > 0) this.#store.append(calls);
    } catch (error) {
      this.#log.error({ err: error, calls }, "the audit of these calls could not be stored");
    }
  }

  /** The id of the sandbox that is named; null where there is none. */
  sandboxOf(nameOrId: string): string | null {
    return this.#sandboxes.find(nameOrId)?.id ?? null;
  }

  /** Opens a reading. @throws DomainError `audit-dropped` (member first), `sandbox-not-found` */
  open(query: AuditQuery, signal: AbortSignal): AsyncGenerator<JournalPiece<AuditEntry>, undefined> {
    this.flush();
    const sandbox = query.sandbox === undefined ? null : sandboxIdOf(this.#sandboxes, query.sandbox, null);
    return this.#reader.open(query, (entry) => sandbox === null || entry.sandbox === sandbox, signal);
  }

  /** Ends all reading. */
  close(): void {
    this.#reader.close();
  }
}
