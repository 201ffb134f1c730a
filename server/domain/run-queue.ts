/** Who is next: callers take turns, and each caller's own come in the order in which they were sent. Bounded by its user. */
export class RunQueue {
  /** Those of each caller that has any; the caller whose turn it is comes first. */
  readonly #byCaller = new Map<string, string[]>();
  #length = 0;

  get length(): number {
    return this.#length;
  }

  add(caller: string, id: string): void {
    const own = this.#byCaller.get(caller);
    if (own === undefined) this.#byCaller.set(caller, [id]);
    else own.push(id);
    this.#length += 1;
  }

  /** Takes the next one out, and lets the next caller have its turn. */
  take(): string | null {
    for (const [caller, own] of this.#byCaller) {
      const id = own.shift() ?? null;
      this.#byCaller.delete(caller);
      if (own.length > 0) this.#byCaller.set(caller, own);
      if (id !== null) this.#length -= 1;
      return id;
    }
    return null;
  }

  /** Whether it was there. */
  remove(caller: string, id: string): boolean {
    const own = this.#byCaller.get(caller) ?? [];
    const index = own.indexOf(id);
    if (index === -1) return false;
    own.splice(index, 1);
    if (own.length === 0) this.#byCaller.delete(caller);
    this.#length -= 1;
    return true;
  }

  /** 1 for the next one to be taken, if nobody else comes; null where it does not wait. */
  position(caller: string, id: string): number | null {
    const index = this.#byCaller.get(caller)?.indexOf(id) ?? -1;
    if (index === -1) return null;
    let before = index;
    let isEarlier = true;
    for (const [other, { length }] of this.#byCaller) {
      if (other === caller) isEarlier = false;
      // In each round before its own every other caller has a turn; in its own round those that come earlier.
      else before += Math.min(length, index + (isEarlier ? 1 : 0));
    }
    return before + 1;
  }
}
