/** Lets works on the same thing come one after the other, in the order in which they were asked for. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Does the work once all that was asked for before it is over, however that ended. */
  async take<T>(id: string, work: () => Promise<T>): Promise<T> {
    const own = (this.#last.get(id) ?? Promise.resolve()).then(work, work);
    this.#last.set(id, own);
    try {
      return await own;
    } finally {
      if (this.#last.get(id) === own) this.#last.delete(id);
    }
  }
}
