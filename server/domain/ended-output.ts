import { LogDroppedError, type LogOutput, type LogPosition, type LogRecord, type LogSource } from "./log-ports.ts";
import { type OutputChunk, OutputDroppedError, type ProcessRow } from "./process.ts";

/** The records of one process in the log: where its last run begins, and the numbers of its first record and of the one after its last. */
interface Extent {
  begin: LogPosition;
  first: number;
  next: number;
  /** Of the last record, in microseconds since 1970. */
  time: number;
}

const nextOf = ({ kind, seq }: LogRecord): number => (kind === "exit" ? seq : seq + 1);

/** The output of one process after its sandbox has ended, read from the sandbox's log in the shape that a supervisor gives it. */
export class EndedOutput {
  readonly #log: LogSource;
  readonly #row: ProcessRow;
  #extent: Extent | null = null;
  #at: LogPosition = { segment: 0, offset: 0 };
  /** Up to which the log was read to get to `at`. */
  #after = Number.POSITIVE_INFINITY;

  constructor(log: LogSource, row: ProcessRow) {
    this.#log = log;
    this.#row = row;
  }

  /** What comes after a record. @throws OutputDroppedError */
  async chunk(asked: number | "held"): Promise<OutputChunk> {
    try {
      return await this.#chunk(asked);
    } catch (error) {
      // A run that was begun meanwhile has taken its place.
      throw error instanceof LogDroppedError ? new OutputDroppedError(null) : error;
    }
  }

  async #chunk(asked: number | "held"): Promise<OutputChunk> {
    this.#extent ??= await this.#find();
    if (this.#extent === null) throw new OutputDroppedError(null);
    const { begin, first, next } = this.#extent;
    const after = asked === "held" ? first - 1 : asked;
    if (after < first - 1) throw new OutputDroppedError(first);
    if (after < this.#after) this.#at = begin;
    this.#after = Number.POSITIVE_INFINITY;
    const records = after + 1 >= next ? [] : await this.#page(after);
    const begins = records[0]?.seq ?? next;
    if (after + 1 < begins) throw new OutputDroppedError(begins);
    this.#after = records.at(-1)?.seq ?? after;
    return { records, first, next, ended: true, droppedBytes: first > 1 ? null : 0, release: () => {} };
  }

  /** Records after a number, one following the other without a gap; empty when no more come. */
  async #page(after: number): Promise<LogOutput[]> {
    for (;;) {
      const page = await this.#log.page(this.#row.sandboxId, this.#at);
      if (page.records.length === 0) return [];
      const outputs = page.records.filter((record) => this.#isOurs(record)).filter((record) => record.kind === "output");
      const wanted = outputs.filter(({ seq }) => seq > after);
      const jump = wanted.findIndex(({ seq }, index) => index > 0 && seq !== (wanted[index - 1]?.seq ?? 0) + 1);
      const records = jump === -1 ? wanted : wanted.slice(0, jump);
      this.#at = jump === -1 ? page.at : (records.at(-1)?.next ?? page.at);
      if (records.length > 0) return records;
    }
  }

  #isOurs(record: LogRecord): boolean {
    return record.process === this.#row.id;
  }

  /** Goes through the log once. The main process of each run counts anew, so where the numbers fall back an earlier run is over. */
  async #find(): Promise<Extent | null> {
    let found: Extent | null = null;
    for (let { first: at } = await this.#log.span(this.#row.sandboxId); ; ) {
      const page = await this.#log.page(this.#row.sandboxId, at);
      if (page.records.length === 0) break;
      for (const record of page.records) {
        if (this.#isOurs(record)) {
          if (found === null || record.seq < found.next) found = { begin: at, first: record.seq, next: 0, time: 0 };
          found.next = nextOf(record);
          found.time = record.time;
        }
        at = record.next;
      }
    }
    // Of a later run that left nothing, what is there is not.
    const since = (this.#row.started?.startedAt ?? 0) * 1000;
    return found !== null && found.time >= since ? found : null;
  }
}
