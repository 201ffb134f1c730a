import { EndedOutput } from "./ended-output.ts";
import { DomainError } from "./errors.ts";
import { type OutputChunk, OutputDroppedError, type OutputRequest } from "./process.ts";
import type { Found, ProcessFinder } from "./process-finder.ts";

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

  /** @throws OutputDroppedError, DomainError `launcher-unavailable` where the supervisor should be there and does not answer */
  async chunk(request: OutputRequest): Promise<OutputChunk> {
    const { sandboxId, id } = this.#found.row;
    try {
      if (this.#finder.isHeld(this.#found)) return await this.#finder.supervisors.output(sandboxId, id, request);
    } catch (error) {
      // A later run's supervisor knows nothing of this process; or the sandbox has ended in between.
      const isUnknown = error instanceof DomainError && error.code === "process-not-found";
      const isEnded = error instanceof DomainError && error.code === "launcher-unavailable" && !this.#finder.isHeld(this.#found);
      if (!isUnknown && !isEnded) throw error;
    }
    if (!this.#finder.isLastRun(this.#found)) throw new OutputDroppedError(null);
    return this.#ended.chunk(request.after);
  }
}
