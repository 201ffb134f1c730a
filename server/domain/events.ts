import { setImmediate } from "node:timers/promises";
import { DomainError } from "./errors.ts";
import { isId } from "./ids.ts";
import type { Persistence, SandboxStore } from "./ports.ts";

/** `time` is in milliseconds since 1970. Numbers count up in the order of the commits. */
export interface StoredEvent {
  id: number;
  time: number;
  type: string;
  subject: string;
  data: Record<string, unknown>;
}

/** The stored events, for readers. */
export interface EventSource {
  /** The numbers of the oldest and the newest that are kept; 1 and 0 where there has been none. */
  span(): { first: number; last: number };
  page(after: number, limit: number): StoredEvent[];
  /** Resolves when there may be new ones, or the signal is aborted. */
  changed(signal: AbortSignal): Promise<void>;
}

/** `gap` ends a reading that was too slow: `first` is the first event that is still kept. */
export type EventPiece = { kind: "events"; events: StoredEvent[] } | { kind: "gap"; first: number };

export interface EventQuery {
  /** Undefined: from the first that is kept. */
  after: number | undefined;
  follow: boolean;
  /** Id or name; the id also of a deleted one. */
  sandbox: string | undefined;
  /** Exact types, or prefixes such as `sandbox.*`; empty: all. */
  types: readonly string[];
  limit: number;
}

const pageLength = 100;

/** Reads events page by page from the table, each reader at its own pace: one that stalls holds one page. */
export class EventLog {
  readonly #source: EventSource;
  readonly #sandboxes: Pick<SandboxStore, "find">;
  readonly #persistence: Persistence;
  readonly #closing = new AbortController();
  #durableThrough = 0;

  constructor(source: EventSource, sandboxes: Pick<SandboxStore, "find">, persistence: Persistence) {
    this.#source = source;
    this.#sandboxes = sandboxes;
    this.#persistence = persistence;
  }

  /** Ends all reading; readers come back with the last number that they have. */
  close(): void {
    this.#closing.abort();
  }

  /** Opens a reading. @throws DomainError `events-dropped` (member first), `sandbox-not-found` */
  open(query: EventQuery, signal: AbortSignal): AsyncGenerator<EventPiece, undefined> {
    const { first, last } = this.#source.span();
    const after = query.after ?? first - 1;
    if (after + 1 < first)
      throw new DomainError("events-dropped", `event ${after + 1} is kept no more, the first is ${first}`, { members: { first } });
    const subject = query.sandbox === undefined ? null : this.#subject(query.sandbox);
    const fits = (event: StoredEvent) =>
      (subject === null || event.subject === subject) &&
      (query.types.length === 0 || query.types.some((type) => matches(type, event.type)));
    return this.#read({ ...query, after }, last, fits, AbortSignal.any([signal, this.#closing.signal]));
  }

  #subject(nameOrId: string): string {
    const id = this.#sandboxes.find(nameOrId)?.id;
    if (id !== undefined) return id;
    if (isId(nameOrId)) return nameOrId;
    throw new DomainError("sandbox-not-found", `no sandbox has the id or name "${nameOrId}"`);
  }

  async *#read(
    { after, follow, limit }: EventQuery & { after: number },
    last: number,
    fits: (event: StoredEvent) => boolean,
    signal: AbortSignal,
  ): AsyncGenerator<EventPiece, undefined> {
    let at = after;
    for (let left = limit; left > 0 && !signal.aborted; ) {
      const { first } = this.#source.span();
      if (at + 1 < first) {
        yield { kind: "gap", first };
        return;
      }
      const page = this.#source.page(at, pageLength).filter(({ id }) => follow || id <= last);
      const end = page.at(-1);
      if (end === undefined) {
        if (!follow) return;
        await this.#source.changed(signal);
        continue;
      }
      at = end.id;
      const events = page.filter(fits).slice(0, left);
      left -= events.length;
      // Where nothing on many pages fits, others get their turn in between.
      if (events.length === 0) await setImmediate();
      else {
        await this.#durable(at);
        yield { kind: "events", events };
      }
    }
  }

  /** What a reader has seen must outlast a crash of the host: its number would be given out again. */
  async #durable(id: number): Promise<void> {
    if (id <= this.#durableThrough) return;
    await this.#persistence.durable();
    this.#durableThrough = Math.max(this.#durableThrough, id);
  }
}

const matches = (asked: string, type: string): boolean => (asked.endsWith(".*") ? type.startsWith(asked.slice(0, -1)) : type === asked);
