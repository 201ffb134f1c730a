import { write, writeSync } from "node:fs";
import type { DestinationStream } from "pino";

const flushMilliseconds = 50;
const flushLength = 4096;
/** Characters that wait to be written; what comes beyond is lost. */
const mostWaiting = 1_048_576;
/** How often a descriptor that takes nothing just now is tried when the process ends, and how long each pause is. */
const [lastTries, lastPauseMilliseconds] = [40, 5];

const isBusy = (error: Error): boolean => ["EAGAIN", "EBUSY"].includes((error as NodeJS.ErrnoException).code ?? "");

/**
 * Log lines gathered for at most 50 ms into one write(2). What cannot be written is lost, and told of once something can be: a log whose disk is full
 * stops nobody. (The stream that pino makes tries again for ever, and holds the whole process meanwhile, when it ends on such a disk.)
 */
export class LogDestination implements DestinationStream {
  readonly #fd: number;
  #waiting = "";
  #writing = false;
  #timer: NodeJS.Timeout | null = null;
  #lost = 0;
  #isTorn = false;

  constructor(fd: number) {
    this.#fd = fd;
    process.on("exit", () => this.flushSync());
  }

  write(line: string): void {
    if (this.#waiting.length > mostWaiting) {
      this.#lost += 1;
      return;
    }
    this.#waiting += line;
    if (this.#waiting.length >= flushLength) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), flushMilliseconds).unref();
  }

  /** Writes what waits, as far as it is taken; pino calls it for a fatal line. */
  flushSync(): void {
    let rest = Buffer.from(this.#takeWaiting());
    for (let tries = 0; rest.length > 0 && tries < lastTries; ) {
      try {
        rest = rest.subarray(writeSync(this.#fd, rest));
      } catch (error) {
        if (!isBusy(error as Error)) return;
        tries += 1;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, lastPauseMilliseconds);
      }
    }
  }

  #takeWaiting(): string {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const taken = this.#waiting;
    this.#waiting = "";
    return taken;
  }

  #flush(): void {
    if (this.#writing) return;
    const text = this.#takeWaiting();
    if (text === "") return;
    this.#writing = true;
    this.#write(Buffer.from(this.#isTorn ? `\n${text}` : text));
  }

  #write(rest: Buffer): void {
    write(this.#fd, rest, (error, written) => {
      if (error !== null && isBusy(error)) {
        setTimeout(() => this.#write(rest), flushMilliseconds);
        return;
      }
      const left = error === null ? rest.subarray(written) : rest;
      if (error === null && left.length > 0) {
        this.#isTorn = true;
        this.#write(left);
        return;
      }
      this.#writing = false;
      if (error === null) this.#written();
      else this.#lost += left.toString().split("\n").length - 1;
      if (this.#waiting !== "") this.#timer ??= setTimeout(() => this.#flush(), flushMilliseconds).unref();
    });
  }

  #written(): void {
    this.#isTorn = false;
    if (this.#lost === 0) return;
    const told = { level: "warn", time: new Date().toISOString(), lost: this.#lost, msg: "lines of the log could not be written" };
    this.#lost = 0;
    this.write(`${JSON.stringify(told)}\n`);
  }
}
