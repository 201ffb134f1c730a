import { DomainError } from "./errors.ts";
import type { StoredEvent } from "./events.ts";
import type { Journal } from "./journal.ts";
import { maybeAlive } from "./lifecycle.ts";
import { LogDroppedError, type LogPosition, type LogRecord, type LogSource } from "./log-ports.ts";
import type { OutputStream } from "./process.ts";
import { need, type SandboxRoom } from "./sandbox-room.ts";

/** `gap` ends a reading that was too slow: `first` is where the oldest record that is kept begins. */
export type LogPiece = { kind: "records"; records: readonly LogRecord[] } | { kind: "gap"; first: LogPosition };

export interface LogQuery {
  /** Where the last record that the reader has ended; null: from the first that is kept. */
  after: LogPosition | null;
  /** Only the last so many of what fits; null: all. */
  tail: number | null;
  /** Milliseconds since 1970; null: of any age. */
  since: number | null;
  /** Name of a process; null: all. */
  process: string | null;
  streams: readonly OutputStream[];
  /** Go on until the sandbox runs no more. */
  follow: boolean;
}

const isBefore = (a: LogPosition, b: LogPosition): boolean => a.segment < b.segment || (a.segment === b.segment && a.offset < b.offset);
const later = (a: LogPosition, b: LogPosition): LogPosition => (isBefore(a, b) ? b : a);

/** Reads what a sandbox's processes wrote, all runs and processes in one order, from the files that their supervisors write. */
export class SandboxLogs {
  readonly #room: SandboxRoom;
  readonly #source: LogSource;
  readonly #events: Pick<Journal<StoredEvent>, "changed">;
  readonly #closing = new AbortController();

  constructor(room: SandboxRoom, source: LogSource, events: Pick<Journal<StoredEvent>, "changed">) {
    this.#room = room;
    this.#source = source;
    this.#events = events;
  }

  /** Ends all reading; readers come back with the last position that they have. */
  close(): void {
    this.#closing.abort();
  }

  /** Opens a reading. @throws DomainError `sandbox-not-found`, `logs-dropped` (member first), `invalid-request` */
  async open(nameOrId: string, query: LogQuery, signal: AbortSignal): Promise<AsyncGenerator<LogPiece, undefined>> {
    const { id } = need(this.#room, nameOrId);
    const { first, end } = await this.#source.span(id);
    const fits = (record: LogRecord) =>
      (query.process === null || record.process === query.process) &&
      (query.since === null || record.time >= query.since * 1000) &&
      (record.kind === "exit" || query.streams.includes(record.stream));
    let begin = query.after === null ? first : await this.#resumed(id, query.after, first);
    if (query.since !== null) begin = later(begin, await this.#writtenSince(id, query.since, end));
    if (query.tail !== null) begin = later(begin, await this.#tail(id, query.tail, end, fits));
    return this.#read(id, begin, query.follow ? null : end, fits, AbortSignal.any([signal, this.#closing.signal]));
  }

  /** Whether a reader that has everything up to `after` will never get more of this run. */
  async isOver(nameOrId: string, after: LogPosition): Promise<boolean> {
    const { id } = need(this.#room, nameOrId);
    return !this.#mayGrow(id) && !isBefore(after, (await this.#source.span(id)).end);
  }

  async #resumed(id: string, after: LogPosition, first: LogPosition): Promise<LogPosition> {
    if (after.segment < first.segment) throw dropped(first);
    if (await this.#source.isBoundary(id, after)) return after;
    throw new DomainError("invalid-request", "no record of this log ended there", {
      faults: [{ pointer: "after", detail: "is no id of a record of this log" }],
    });
  }

  /** The first segment that was written to since then. */
  async #writtenSince(id: string, since: number, end: LogPosition): Promise<LogPosition> {
    const segment = (await this.#source.segments(id)).find(({ writtenAt }) => writtenAt >= since);
    return segment === undefined ? end : { segment: segment.number, offset: 0 };
  }

  /** Where the last `count` of the records that fit begin. Looked for from the newest segment back. */
  async #tail(id: string, count: number, end: LogPosition, fits: (record: LogRecord) => boolean): Promise<LogPosition> {
    let left = count;
    for (const { number } of (await this.#source.segments(id)).reverse()) {
      if (left === 0) break;
      const begins = await this.#begins(id, number, end, fits);
      const begin = begins.at(-left);
      if (begins.length >= left && begin !== undefined) return begin;
      left -= begins.length;
    }
    return left === 0 ? end : { segment: 0, offset: 0 };
  }

  /** Where the records of one segment begin that fit and lie before the end. */
  async #begins(id: string, segment: number, end: LogPosition, fits: (record: LogRecord) => boolean): Promise<LogPosition[]> {
    const begins: LogPosition[] = [];
    for (let at: LogPosition = { segment, offset: 0 }; at.segment === segment && isBefore(at, end); ) {
      const page = await this.#source.page(id, at).catch(orGap);
      if ("first" in page || page.records.length === 0) break;
      for (const record of page.records) {
        if (record.next.segment !== segment || isBefore(end, record.next)) return begins;
        if (fits(record)) begins.push(at);
        at = record.next;
      }
    }
    return begins;
  }

  async *#read(
    id: string,
    begin: LogPosition,
    end: LogPosition | null,
    fits: (record: LogRecord) => boolean,
    signal: AbortSignal,
  ): AsyncGenerator<LogPiece, undefined> {
    for (let at = begin; !signal.aborted && (end === null || isBefore(at, end)); ) {
      const page = await this.#source.page(id, at).catch(orGap);
      if ("first" in page) {
        yield { kind: "gap", first: page.first };
        return;
      }
      if (page.records.length === 0) {
        if (end !== null || !(await this.#more(id, at, signal))) return;
        continue;
      }
      at = page.at;
      const records = page.records.filter((record) => fits(record) && (end === null || !isBefore(end, record.next)));
      if (records.length > 0) yield { kind: "records", records };
    }
  }

  /** Waits until there may be more after `at`; false when there will be nothing. */
  async #more(id: string, at: LogPosition, signal: AbortSignal): Promise<boolean> {
    const looked = new AbortController();
    const either = AbortSignal.any([signal, looked.signal]);
    try {
      const changed = this.#source.watch(id, either);
      const isOver = !this.#mayGrow(id);
      // Both were asked before this look: what comes after it wakes, and when it was over then, this sees the last of it.
      const page = await this.#source.page(id, at).catch(orGap);
      if ("first" in page || page.records.length > 0) return true;
      if (isOver) return false;
      await Promise.race([changed, this.#ended(id, either)]);
      return !signal.aborted;
    } finally {
      looked.abort();
    }
  }

  async #ended(id: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.#mayGrow(id)) await this.#events.changed(signal);
  }

  #mayGrow(id: string): boolean {
    const row = this.#room.store.get(id);
    return row !== null && maybeAlive(row.state);
  }
}

const orGap = (error: unknown): LogDroppedError => {
  if (error instanceof LogDroppedError) return error;
  throw error;
};

const dropped = (first: LogPosition): DomainError =>
  new DomainError("logs-dropped", "what comes after that record is kept no more", { members: { first: positionText(first) } });

/** How a position is written in the API. */
export const positionText = ({ segment, offset }: LogPosition): string => `${segment}-${offset}`;
