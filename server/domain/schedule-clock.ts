import type { Alarm } from "./alarm.ts";
import type { Logger, Persistence } from "./ports.ts";
import type { ScheduleStore } from "./sandbox-ports.ts";

/** What two clocks that are read one after the other may differ by, on a busy host. */
const leastMilliseconds = 1_000;

/** Milliseconds of CLOCK_MONOTONIC, which counts from the host's start. */
const uptime = (): number => Number(process.hrtime.bigint() / 1_000_000n);

/**
 * The clock of what sandboxes are due for, which is stored as times of day. Where the host's clock was set, what is due moves with it: a
 * time to live of an hour is an hour of the clock that nobody sets (CLOCK_MONOTONIC, clock_gettime(2)), also over a restart of the daemon.
 */
export class ScheduleClock {
  readonly #store: ScheduleStore;
  readonly #persistence: Persistence;
  readonly #alarm: Alarm;
  readonly #log: Logger;
  readonly #bootId: string;
  /** The time of day, in milliseconds since 1970, at which that clock was 0; null before anything is known of this boot. */
  #offset: number | null;

  constructor(store: ScheduleStore, persistence: Persistence, alarm: Alarm, log: Logger, bootId: string) {
    this.#store = store;
    this.#persistence = persistence;
    this.#alarm = alarm;
    this.#log = log;
    this.#bootId = bootId;
    this.#offset = store.clockOffset(bootId);
  }

  /** Milliseconds since 1970. Rows that were read before may have moved: it is asked first. */
  now(): number {
    const now = Date.now();
    const offset = now - uptime();
    if (this.#offset === null) this.#keep(offset, 0);
    else if (Math.abs(offset - this.#offset) >= leastMilliseconds) {
      const step = offset - this.#offset;
      if (!this.#keep(offset, step)) return now - step;
    }
    return now;
  }

  #keep(offset: number, step: number): boolean {
    try {
      this.#persistence.transaction(() => {
        this.#store.keepClockOffset(this.#bootId, offset);
        if (step !== 0) this.#store.moveSchedules(step);
      });
    } catch (error) {
      this.#log.error({ err: error }, "that the host's clock was set could not be stored; what is due goes by the clock as it was");
      return false;
    }
    this.#offset = offset;
    this.#alarm.moved(step);
    if (step !== 0) this.#log.warn({ milliseconds: step }, "the host's clock was set; what sandboxes are due for moved with it");
    return true;
  }
}
