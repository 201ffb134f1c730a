import { EndedOutput } from "./ended-output.ts";
import { DomainError } from "./errors.ts";
import { LogDroppedError } from "./log-ports.ts";
import type { OutputChunk, OutputRequest } from "./process.ts";
import type { Found, ProcessFinder } from "./process-finder.ts";

const sayNobodyHolds = new Set(["launcher-unavailable", "process-not-found"]);

/** Where the output of one process comes from: its supervisor while that lives, and the log of its sandbox afterwards. */
export class OutputSource {
  readonly #finder: ProcessFinder;
  readonly #found: Found;
  readonly #ended: EndedOutput;

  constructor(finder: ProcessFinder, found: Found) {
    this.#finder = finder;
    this.#found = found;
    this.#ended = new EndedOutput(finder.log, found.row);
  }

  /** Whether the supervisor is asked: it may then be there again a moment after it was not. */
  isLive(): boolean {
    return this.#finder.isHeld(this.#found);
  }

  /** @throws OutputDroppedError, DomainError `launcher-unavailable` when neither has anything (now, where `isLive`) */
  async chunk(request: OutputRequest): Promise<OutputChunk> {
    const { sandboxId, id } = this.#found.row;
    if (!this.isLive()) return this.#ofLog(request);
    try {
      return await this.#finder.supervisors.output(sandboxId, id, request);
    } catch (error) {
      const isUnknown = error instanceof DomainError && sayNobodyHolds.has(error.code);
      // It ended in between; or it is a later one, which knows nothing of this process.
      if (isUnknown && (error.code === "process-not-found" || !this.isLive())) return this.#ofLog(request);
      throw error;
    }
  }

  async #ofLog({ after }: OutputRequest): Promise<OutputChunk> {
    const chunk = this.#finder.isLastRun(this.#found) ? await this.#ended.chunk(after).catch(nothingWhereDropped) : null;
    if (chunk === null) throw new DomainError("launcher-unavailable", "the sandbox has ended");
    return chunk;
  }
}

const nothingWhereDropped = (error: unknown): null => {
  if (error instanceof LogDroppedError) return null;
  throw error;
};
