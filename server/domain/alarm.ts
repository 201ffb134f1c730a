/** The longest sleep: a host clock that is set forward, or a host that slept, makes what is due late by no more than this. */
const longestMilliseconds = 3_600_000;

/** One timer for everything that has its time: it sleeps until the next of them. Times are milliseconds since 1970. */
export class Alarm {
  #ring: (() => number | null) | null = null;
  #timer: NodeJS.Timeout | undefined;
  #at = Number.POSITIVE_INFINITY;

  /** @param ring does what is due, and gives when something is due next; null: nothing is. Called at once, and then in time. */
  begin(ring: () => number | null): void {
    this.#ring = ring;
    this.by(0);
  }

  /** Makes it ring at this time at the latest. Before it has begun this is not needed: it will look for itself. */
  by(at: number): void {
    if (this.#ring === null || at >= this.#at) return;
    clearTimeout(this.#timer);
    this.#at = at;
    const milliseconds = Math.min(Math.max(0, at - Date.now()), longestMilliseconds);
    this.#timer = setTimeout(() => this.#wake(), milliseconds).unref();
  }

  /** All times are so many milliseconds later now, or earlier: the clock was set. It rings when it would have. */
  moved(milliseconds: number): void {
    this.#at += milliseconds;
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#ring = null;
  }

  #wake(): void {
    this.#at = Number.POSITIVE_INFINITY;
    const next = this.#ring?.() ?? null;
    if (next !== null) this.by(next);
  }
}
