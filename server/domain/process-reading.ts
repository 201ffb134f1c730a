import { setTimeout as sleep } from "node:timers/promises";
import { DomainError } from "./errors.ts";
import { OutputSource } from "./output-source.ts";
import { type OutputChunk, OutputDroppedError, type OutputRecord, type OutputStream, type ProcessExit } from "./process.ts";
import type { Found, ProcessFinder } from "./process-finder.ts";
import { exitReport } from "./reports.ts";

/** What a reader gets, in order. `release`: see OutputChunk. `gap`: what comes next is held no more, `first` is; null when nothing is. An exit or a gap is the last. */
export type OutputPiece =
  | { kind: "records"; records: readonly OutputRecord[]; release(): void }
  | Gap
  | { kind: "exit"; seq: number; exit: ProcessExit | null };

interface Gap {
  kind: "gap";
  first: number | null;
}

export interface ReadOptions {
  /** The last record that the reader has; `held`: read from the first that is held. */
  after: number | "held";
  /** Go on until the process ends; else until what is there has been read. */
  follow: boolean;
  streams: readonly OutputStream[];
  /** Go on behind a gap, after telling it. */
  overGaps?: boolean;
}

/** Bytes of output asked for at a time. A reader that keeps up gets more at once; one that stalls leaves one such piece in the daemon. */
export const leastBytes = 65_536;
const mostBytes = 131_072;
const quickMilliseconds = 20;
const quickTurns = 16;
const exitMilliseconds = 5_000;
/** Beyond the time in which a lost supervisor is found again or cleaned up after. */
const reconnectAttempts = 30;
const reconnectMilliseconds = 100;

/** One reader's way through the output of a process. */
export class Reading implements AsyncIterableIterator<OutputPiece, undefined> {
  readonly #finder: ProcessFinder;
  readonly #found: Found;
  readonly #source: OutputSource;
  readonly #options: ReadOptions;
  readonly #signal: AbortSignal;
  #after = 0;
  #bytes = leastBytes;
  /** The first, until it is taken. */
  #chunk: OutputChunk | null = null;
  /** The number at which a reader that does not follow is done; null until the first chunk tells. */
  #until: number | null = null;
  /** The number of the exit, once all output before it was given. */
  #exitSeq: number | null = null;
  #over = false;
  #givenAt = 0;
  #quick = 0;

  constructor(finder: ProcessFinder, found: Found, options: ReadOptions, signal: AbortSignal) {
    this.#finder = finder;
    this.#found = found;
    this.#source = new OutputSource(finder, found);
    this.#options = options;
    this.#signal = signal;
  }

  async begin(): Promise<void> {
    const { after } = this.#options;
    try {
      this.#chunk = await this.#ask(after, false);
    } catch (error) {
      throw this.#dropped(error);
    }
    this.#after = after === "held" ? this.#chunk.first - 1 : after;
  }

  /** Not a generator: that would keep a chunk alive for as long as its reader stalls, beside what was made of it. */
  async next(): Promise<IteratorResult<OutputPiece, undefined>> {
    this.#pace();
    while (!this.#over && !this.#signal.aborted) {
      if (this.#exitSeq !== null) return { done: false, value: await this.#exit(this.#exitSeq) };
      const chunk = this.#take() ?? (await this.#following());
      if (chunk === null) break;
      const piece = "kind" in chunk ? this.#gap(chunk) : this.#pieceOf(chunk);
      this.#givenAt = performance.now();
      if (piece !== null) return { done: false, value: piece };
    }
    return { done: true, value: undefined };
  }

  /** The reader leaves. */
  async return(): Promise<IteratorResult<OutputPiece, undefined>> {
    this.#over = true;
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #take(): OutputChunk | null {
    const chunk = this.#chunk;
    this.#chunk = null;
    return chunk;
  }

  #pieceOf(chunk: OutputChunk): OutputPiece | null {
    const { streams, follow } = this.#options;
    this.#until ??= follow ? Number.MAX_SAFE_INTEGER : chunk.next - 1;
    this.#after = chunk.records.at(-1)?.seq ?? this.#after;
    const isLast = chunk.ended && this.#after + 1 >= chunk.next;
    const records = chunk.records.filter(({ stream }) => streams.includes(stream));
    if (isLast) this.#exitSeq = chunk.next;
    else if (this.#after >= this.#until) this.#over = true;
    if (records.length > 0) return { kind: "records", records, release: chunk.release };
    chunk.release();
    return null;
  }

  #gap(gap: Gap): Gap {
    if (gap.first !== null && this.#options.overGaps === true) this.#after = gap.first - 1;
    else this.#over = true;
    return gap;
  }

  /** What was taken at once, several times in a row, is followed by more at a time. */
  #pace(): void {
    const now = performance.now();
    this.#quick = now - this.#givenAt < quickMilliseconds ? this.#quick + 1 : 0;
    this.#bytes = this.#quick < quickTurns ? leastBytes : mostBytes;
  }

  /** The next chunk, a gap, or null when the reader is gone. */
  async #following(): Promise<OutputChunk | Gap | null> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#unlessAborted(this.#ask(this.#after, true));
      } catch (error) {
        if (error instanceof OutputDroppedError) return { kind: "gap", first: error.first };
        // The connection may be made anew, or the supervisor be found to be lost: then the log is what is left.
        const isLost = error instanceof DomainError && error.code === "launcher-unavailable";
        if (!isLost || attempt === reconnectAttempts) return { kind: "gap", first: null };
        await this.#unlessAborted(sleep(reconnectMilliseconds, null, { ref: false }));
        if (this.#signal.aborted) return null;
      }
    }
  }

  #ask(after: number | "held", wait: boolean): Promise<OutputChunk> {
    return this.#source.chunk({ after, maxBytes: this.#bytes, wait });
  }

  async #unlessAborted<T>(work: Promise<T>): Promise<T | null> {
    const signal = this.#signal;
    if (signal.aborted) return null;
    let stop = () => {};
    const aborted = new Promise<null>((resolve) => {
      stop = () => resolve(null);
      signal.addEventListener("abort", stop);
    });
    try {
      return await Promise.race([work, aborted]);
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  /** The exit is told right after the end of the output. */
  async #exit(seq: number): Promise<OutputPiece> {
    this.#over = true;
    const found = await this.#finder.ended(this.#found.row, AbortSignal.timeout(exitMilliseconds));
    return { kind: "exit", seq, exit: found?.exit ?? null };
  }

  #dropped(error: unknown): unknown {
    if (!(error instanceof OutputDroppedError)) return error;
    const exit = this.#finder.current(this.#found.row)?.exit ?? null;
    const members = { first: error.first, exit: exit && exitReport(exit) };
    return new DomainError("output-dropped", error.message, { members, cause: error });
  }
}
