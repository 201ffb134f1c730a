import { type Owners, sees, seesSubject, type View } from "./callers.ts";
import { isId } from "./ids.ts";
import { type Journal, type JournalPiece, type JournalQuery, JournalReader } from "./journal.ts";
import type { Persistence } from "./ports.ts";
import type { SandboxStore } from "./sandbox-ports.ts";
import { sandboxNotFound } from "./sandbox-room.ts";

/** `time` is in milliseconds since 1970. */
export interface StoredEvent {
  id: number;
  time: number;
  type: string;
  subject: string;
  data: Record<string, unknown>;
}

export interface EventQuery extends JournalQuery {
  view: View;
  /** Id or name; the id also of a deleted one. */
  sandbox: string | undefined;
  /** Exact types, or prefixes such as `sandbox.*`; empty: all. */
  types: readonly string[];
}

/** The stored events, for readers. */
export class EventLog {
  readonly #reader: JournalReader<StoredEvent>;
  readonly #sandboxes: Pick<SandboxStore, "find"> & Owners;

  constructor(source: Journal<StoredEvent>, sandboxes: Pick<SandboxStore, "find"> & Owners, persistence: Persistence) {
    this.#reader = new JournalReader(source, persistence, "events-dropped");
    this.#sandboxes = sandboxes;
  }

  /** Ends all reading; readers come back with the last number that they have. */
  close(): void {
    this.#reader.close();
  }

  /** Opens a reading. @throws DomainError `events-dropped` (member first), `sandbox-not-found` */
  open(query: EventQuery, signal: AbortSignal): AsyncGenerator<JournalPiece<StoredEvent>, undefined> {
    const subject = query.sandbox === undefined ? null : sandboxIdOf(this.#sandboxes, query.sandbox, query.view);
    const fits = (event: StoredEvent) =>
      (subject === null || event.subject === subject) &&
      seesSubject(query.view, this.#sandboxes, event.type, event.subject) &&
      (query.types.length === 0 || query.types.some((type) => isOfType(type, event.type)));
    return this.#reader.open(query, fits, signal);
  }
}

/** The id that is meant, also of a sandbox that is deleted. @throws DomainError `sandbox-not-found` */
export const sandboxIdOf = (sandboxes: Pick<SandboxStore, "find">, nameOrId: string, view: View): string => {
  const found = sandboxes.find(nameOrId);
  if (found !== null && sees(view, found)) return found.id;
  if (isId(nameOrId)) return nameOrId;
  throw sandboxNotFound(nameOrId);
};

/** @param asked a type, or a prefix such as `sandbox.*` */
export const isOfType = (asked: string, type: string): boolean =>
  asked.endsWith(".*") ? type.startsWith(asked.slice(0, -1)) : type === asked;
