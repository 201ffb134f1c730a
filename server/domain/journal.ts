import { setImmediate } from "node:timers/promises";
import { DomainError, type ErrorCode } from "./errors.ts";
import type { Persistence } from "./ports.ts";

/** Stored entries with numbers that count up in the order of the commits, for readers. The oldest go in time. */
export interface Journal<Entry extends { id: number }> {
  /** The numbers of the oldest and the newest that are kept; 1 and 0 where there has been none. */
  span(): { first: number; last: number };
  page(after: number, limit: number): Entry[];
  /** Resolves when there may be new ones, or the signal is aborted. */
  changed(signal: AbortSignal): Promise<void>;
}

/** `gap` ends a reading that was too slow: `first` is the first entry that is still kept. */
export type JournalPiece<Entry> = { kind: "entries"; entries: Entry[] } | { kind: "gap"; first: number };

export interface JournalQuery {
  /** Undefined: from the first that is kept. */
  after: number | undefined;
  /** Without `after`: so many of the newest first, before those that do not fit are left out. Undefined: all that are kept. */
  tail?: number | undefined;
  follow: boolean;
  limit: number;
}

const pageLength = 100;

/** Reads a journal page by page from its table, each reader at its own pace: one that stalls holds one page. */
export class JournalReader<Entry extends { id: number }> {
  readonly #journal: Journal<Entry>;
  readonly #persistence: Persistence;
  readonly #dropped: ErrorCode;
  readonly #closing = new AbortController();
  #durableThrough = 0;

  /** @param dropped the code where what is asked for is kept no more */
  constructor(journal: Journal<Entry>, persistence: Persistence, dropped: ErrorCode) {
    this.#journal = journal;
    this.#persistence = persistence;
    this.#dropped = dropped;
  }

  /** Ends all reading; readers come back with the last number that they have. */
  close(): void {
    this.#closing.abort();
  }

  /** Opens a reading of those that fit. @throws DomainError of the code `dropped` (member first) */
  open(query: JournalQuery, fits: (entry: Entry) => boolean, signal: AbortSignal): AsyncGenerator<JournalPiece<Entry>, undefined> {
    const { first, last } = this.#journal.span();
    const after = query.after ?? Math.max(first - 1, query.tail === undefined ? 0 : last - query.tail);
    if (after + 1 < first)
      throw new DomainError(this.#dropped, `number ${after + 1} is kept no more, the first is ${first}`, { members: { first } });
    return this.#read({ ...query, after }, last, fits, AbortSignal.any([signal, this.#closing.signal]));
  }

  async *#read(
    { after, follow, limit }: JournalQuery & { after: number },
    last: number,
    fits: (entry: Entry) => boolean,
    signal: AbortSignal,
  ): AsyncGenerator<JournalPiece<Entry>, undefined> {
    let at = after;
    for (let left = limit; left > 0 && !signal.aborted; ) {
      const { first } = this.#journal.span();
      if (at + 1 < first) {
        yield { kind: "gap", first };
        return;
      }
      const page = this.#journal.page(at, pageLength).filter(({ id }) => follow || id <= last);
      const end = page.at(-1);
      if (end === undefined) {
        if (!follow) return;
        await this.#journal.changed(signal);
        continue;
      }
      at = end.id;
      const entries = page.filter(fits).slice(0, left);
      left -= entries.length;
      // Where nothing on many pages fits, others get their turn in between.
      if (entries.length === 0) await setImmediate();
      else {
        await this.#durable(at);
        yield { kind: "entries", entries };
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
