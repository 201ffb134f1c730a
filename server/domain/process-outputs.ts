import { setTimeout as sleep } from "node:timers/promises";
import { DomainError } from "./errors.ts";
import { type OutputChunk, OutputDroppedError, type OutputRecord, type OutputStream, type ProcessExit } from "./process.ts";
import type { Found, ProcessFinder } from "./process-finder.ts";
import { exitReport } from "./process-reports.ts";

/** What a reader gets, in order. `gap`: what comes next is held no more, `first` is; null when nothing is. An exit or a gap is the last. */
export type OutputPiece =
  | { kind: "records"; records: readonly OutputRecord[] }
  | { kind: "gap"; first: number | null }
  | { kind: "exit"; seq: number; exit: ProcessExit | null };

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
const leastBytes = 65_536;
const mostBytes = 262_144;
const heldAttempts = 100;
const exitMilliseconds = 5_000;
const reconnectAttempts = 5;
const reconnectMilliseconds = 100;

/** Reads the output of processes from where their supervisors keep it. */
export class ProcessOutputs {
  readonly #finder: ProcessFinder;
  readonly #closing = new AbortController();

  constructor(finder: ProcessFinder) {
    this.#finder = finder;
  }

  /** Ends all reading; readers come back with the last number that they have. */
  close(): void {
    this.#closing.abort();
  }

  /**
   * Opens a reading: what is wrong is thrown here, and what happens later is told by the pieces.
   * @throws DomainError `process-not-found`, `output-dropped` (members first, exit)
   */
  async open(sandbox: string, process: string, options: ReadOptions, signal: AbortSignal): Promise<AsyncGenerator<OutputPiece>> {
    const found = this.#finder.find(sandbox, process);
    const reading = new Reading(this.#finder, found, options, AbortSignal.any([signal, this.#closing.signal]));
    await reading.begin();
    return reading.pieces();
  }

  /** Whether a reader that has the record `after` has everything: the exit was the last it got. */
  async isOver(sandbox: string, process: string, after: number): Promise<boolean> {
    const { row } = this.#finder.find(sandbox, process);
    if (row.state !== "ended") return false;
    try {
      const { ended, next } = await this.#finder.supervisors.output(row.sandboxId, row.id, { after, maxBytes: leastBytes, wait: false });
      return ended && after >= next;
    } catch {
      return false;
    }
  }
}

class Reading {
  readonly #finder: ProcessFinder;
  readonly #found: Found;
  readonly #options: ReadOptions;
  readonly #signal: AbortSignal;
  #after = 0;
  #bytes = leastBytes;
  #chunk: OutputChunk | null = null;

  constructor(finder: ProcessFinder, found: Found, options: ReadOptions, signal: AbortSignal) {
    this.#finder = finder;
    this.#found = found;
    this.#options = options;
    this.#signal = signal;
  }

  async begin(): Promise<void> {
    const { after } = this.#options;
    this.#after = after === "held" ? 0 : after;
    const attempts = after === "held" ? heldAttempts : 1;
    for (let attempt = 1; this.#chunk === null; attempt += 1) {
      try {
        this.#chunk = await this.#ask(false);
      } catch (error) {
        if (error instanceof OutputDroppedError && attempt < attempts) this.#after = error.first - 1;
        else throw this.#dropped(error);
      }
    }
  }

  async *pieces(): AsyncGenerator<OutputPiece> {
    let chunk = this.#chunk as OutputChunk;
    this.#chunk = null;
    const until = this.#options.follow ? Number.MAX_SAFE_INTEGER : chunk.next - 1;
    while (!this.#signal.aborted) {
      const { records, ended, next } = chunk;
      const wanted = records.filter(({ stream }) => this.#options.streams.includes(stream));
      this.#after = records.at(-1)?.seq ?? this.#after;
      if (wanted.length > 0) {
        const began = performance.now();
        yield { kind: "records", records: wanted };
        this.#pace(performance.now() - began);
      }
      if (ended && this.#after + 1 >= next) return yield { kind: "exit", seq: next, exit: await this.#exit() };
      if (this.#after >= until) return;
      const following = await this.#next();
      if (following === null) return;
      if ("kind" in following) {
        yield following;
        if (following.first === null || this.#options.overGaps !== true) return;
        this.#after = following.first - 1;
        chunk = { records: [], first: following.first, next: Number.MAX_SAFE_INTEGER, ended: false, droppedBytes: 0 };
      } else chunk = following;
    }
  }

  /** A piece that was taken at once makes the next one larger. */
  #pace(milliseconds: number): void {
    this.#bytes = milliseconds < 20 ? Math.min(mostBytes, this.#bytes * 2) : leastBytes;
  }

  /** The next chunk, a gap, or null when the reader is gone. */
  async #next(): Promise<OutputChunk | Extract<OutputPiece, { kind: "gap" }> | null> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#unlessAborted(this.#ask(true));
      } catch (error) {
        if (error instanceof OutputDroppedError) return { kind: "gap", first: error.first };
        const isLost = error instanceof DomainError && error.code === "launcher-unavailable";
        // The connection may be made anew; where the sandbox has ended there is nobody to connect to.
        if (!isLost || this.#isGone() || attempt === reconnectAttempts) return { kind: "gap", first: null };
        await this.#unlessAborted(sleep(reconnectMilliseconds, null, { ref: false }));
        if (this.#signal.aborted) return null;
      }
    }
  }

  #ask(wait: boolean): Promise<OutputChunk> {
    if (this.#isGone()) throw new DomainError("launcher-unavailable", "the sandbox has ended");
    const { sandboxId, id } = this.#found.row;
    return this.#finder.supervisors.output(sandboxId, id, { after: this.#after, maxBytes: this.#bytes, wait });
  }

  /** Whether the supervisor that holds the output is no more. A new run of the sandbox has other processes. */
  #isGone(): boolean {
    return !this.#finder.isHeld(this.#found);
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

  /** The exit comes right after the end of the output. */
  async #exit(): Promise<ProcessExit | null> {
    const { row } = this.#found;
    const found = await this.#finder.ended(row, AbortSignal.timeout(exitMilliseconds));
    return found?.exit ?? null;
  }

  #dropped(error: unknown): unknown {
    const first = error instanceof OutputDroppedError ? error.first : null;
    const isGone = error instanceof DomainError && error.code === "launcher-unavailable" && this.#isGone();
    const isForgotten = error instanceof DomainError && error.code === "process-not-found";
    if (first === null && !isGone && !isForgotten) return error;
    const exit = this.#finder.current(this.#found.row)?.exit ?? null;
    const detail = first === null ? "no output of the process is held any more" : `output before the record ${first} is held no more`;
    return new DomainError("output-dropped", detail, { members: { first, exit: exit && exitReport(exit) }, cause: error });
  }
}
