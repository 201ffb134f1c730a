import { OutputSource } from "./output-source.ts";
import type { ProcessFinder } from "./process-finder.ts";
import { leastBytes, type OutputPiece, Reading, type ReadOptions } from "./process-reading.ts";

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
  async open(
    sandbox: string,
    process: string,
    options: ReadOptions,
    signal: AbortSignal,
  ): Promise<AsyncIterableIterator<OutputPiece, undefined>> {
    const found = this.#finder.find(sandbox, process);
    const reading = new Reading(this.#finder, found, options, AbortSignal.any([signal, this.#closing.signal]));
    await reading.begin();
    return reading;
  }

  /** Whether a reader that has the record `after` has everything: the exit was the last it got. */
  async isOver(sandbox: string, process: string, after: number): Promise<boolean> {
    const found = this.#finder.find(sandbox, process);
    if (found.row.state !== "ended") return false;
    try {
      const { ended, next } = await new OutputSource(this.#finder, found).chunk({ after, maxBytes: leastBytes, wait: false });
      return ended && after >= next;
    } catch {
      return false;
    }
  }
}
