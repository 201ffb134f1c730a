/**
 * Who follows the output of a sandbox's processes. The output is held by the supervisor, so the supervisor of a sandbox that has ended
 * is not let go before they have read to the end, within a bound.
 */
export class OutputReaders {
  readonly #readers = new Map<string, number>();
  /** Sandboxes whose supervisors wait for their readers, and what ends the wait. */
  readonly #waiting = new Map<string, () => void>();

  /** A reader begins; what is given is called once when it is through. */
  enter(sandboxId: string): () => void {
    this.#readers.set(sandboxId, (this.#readers.get(sandboxId) ?? 0) + 1);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const others = (this.#readers.get(sandboxId) ?? 1) - 1;
      if (others > 0) this.#readers.set(sandboxId, others);
      else {
        this.#readers.delete(sandboxId);
        this.#waiting.get(sandboxId)?.();
      }
    };
  }

  /** Resolves when nobody reads any more, or after `milliseconds`. */
  async settled(sandboxId: string, milliseconds: number): Promise<void> {
    if (!this.#readers.has(sandboxId)) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#waiting.set(sandboxId, () => {
        clearTimeout(timer);
        resolve();
      });
    });
    this.#waiting.delete(sandboxId);
  }

  /** Whether an ended sandbox's supervisor is still there for its readers. */
  isAwaited(sandboxId: string): boolean {
    return this.#waiting.has(sandboxId);
  }
}
