/** Undo actions, pushed right after what they undo and run in reverse. A failing one does not keep the others from running. */
export class Undo {
  readonly #steps: { what: string; run: () => unknown }[] = [];

  push(what: string, run: () => unknown): void {
    this.#steps.push({ what, run });
  }

  /** Runs every step once, the last pushed first; answers what could not be undone. */
  async run(): Promise<string[]> {
    const failures: string[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step.run();
      } catch (error) {
        failures.push(`${step.what}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    return failures;
  }
}
