/** Lets a number of users in at once; others wait in the order they came. */
export class Gate {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(width: number) {
    this.#free = width;
  }

  /** Gives what to call once when leaving; null where no place got free within `milliseconds`. */
  async enter(milliseconds: number): Promise<(() => void) | null> {
    if (this.#free > 0) this.#free--;
    else if (!(await this.#turn(milliseconds))) return null;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    };
  }

  #turn(milliseconds: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        resolve(false);
      }, milliseconds);
      const enter = () => {
        clearTimeout(timer);
        resolve(true);
      };
      this.#waiting.push(enter);
    });
  }
}
