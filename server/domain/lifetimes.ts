import { DomainError } from "./errors.ts";
import { expiredBy } from "./expiries.ts";
import { maybeAlive } from "./lifecycle.ts";
import type { Report } from "./reports.ts";
import type { SandboxRow } from "./sandbox-ports.ts";
import { need, reportFor, reschedule, type SandboxRoom } from "./sandbox-room.ts";
import type { Sandboxes } from "./sandboxes.ts";
import { hasLifetime, timeAfter } from "./schedules.ts";

/** How many expire or are started at a time. */
const concurrency = 16;
/** What could not be done is tried again after so long. */
const againMilliseconds = 5_000;

/** Does what sandboxes are due for: they expire, and are started again. Knows who uses them. */
export class Lifetimes {
  readonly #room: SandboxRoom;
  readonly #sandboxes: Sandboxes;
  /** Requests, terminals and streams that use a sandbox now, by its id. */
  readonly #users = new Map<string, number>();
  readonly #busy = new Set<string>();
  readonly #starts = new Set<Promise<void>>();

  constructor(room: SandboxRoom, sandboxes: Sandboxes) {
    this.#room = room;
    this.#sandboxes = sandboxes;
  }

  /** For the daemon's start, once sandboxes are recovered: what became due meanwhile is done at once. */
  begin(): void {
    // Whoever used one of these is gone with the daemon that served it.
    for (const row of this.#room.store.idleUncounted()) this.#rest(row);
    this.#room.alarm.begin(() => {
      try {
        return this.#ring();
      } catch (error) {
        this.#room.log.error({ err: error }, "what is due could not be read");
        return Date.now() + againMilliseconds;
      }
    });
  }

  /** Starts under way are finished; what else is under way is left to the next daemon. */
  async shutDown(): Promise<void> {
    this.#room.alarm.end();
    await Promise.allSettled(this.#starts);
  }

  /** Counts as use of the sandbox until the function that it gives is called. Unknown names are nobody's. */
  use(nameOrId: string): () => void {
    const time = this.#room.clock.now();
    const row = this.#room.store.find(nameOrId);
    if (row === null) return () => {};
    const { id } = row;
    this.#users.set(id, (this.#users.get(id) ?? 0) + 1);
    if (row.schedule.idleAt !== null && expiredBy(row, time) === null) this.#write(row, { idleAt: null });
    return () => {
      const left = (this.#users.get(id) ?? 1) - 1;
      if (left > 0) return void this.#users.set(id, left);
      this.#users.delete(id);
      const then = this.#room.clock.now();
      const now = this.#room.store.get(id);
      if (now !== null && expiredBy(now, then) === null) this.#rest(now);
    };
  }

  /**
   * Gives it its time anew: the time to live from now on, if that is later, and the time it may be idle.
   * @throws DomainError `state-conflict` when it has expired, or does not run
   */
  async keepAlive(nameOrId: string): Promise<Report> {
    const now = this.#room.clock.now();
    const row = need(this.#room, nameOrId);
    const members = { members: { state: row.state } };
    if (row.reason === "expired" || expiredBy(row, now) !== null)
      throw new DomainError("state-conflict", `the sandbox "${row.name}" has expired`, members);
    const { ttlSeconds, idleSeconds } = row.definition.lifetime;
    if (!maybeAlive(row.state) && ((ttlSeconds ?? idleSeconds) === null || !hasLifetime(row)))
      throw new DomainError("state-conflict", `the sandbox "${row.name}" is ${row.state}; there is nothing to keep alive`, members);
    const expiresAt = row.schedule.expiresAt === null ? null : Math.max(row.schedule.expiresAt, timeAfter(now, ttlSeconds) ?? 0);
    this.#write(row, { expiresAt, idleAt: this.#users.has(row.id) ? null : timeAfter(now, idleSeconds) });
    await this.#room.persistence.durable();
    return reportFor(this.#room, need(this.#room, row.id));
  }

  /** From now on it is idle. */
  #rest(row: SandboxRow): void {
    const { idleSeconds } = row.definition.lifetime;
    if (idleSeconds !== null && hasLifetime(row)) this.#write(row, { idleAt: timeAfter(this.#room.clock.now(), idleSeconds) });
  }

  #write(row: SandboxRow, changes: Partial<SandboxRow["schedule"]>): void {
    reschedule(this.#room, { ...row, schedule: { ...row.schedule, ...changes } });
  }

  /** Begins what is due, as much as may be under way at a time; gives when something is due next. */
  #ring(): number | null {
    const now = this.#room.clock.now();
    // Among twice as many are enough that are not under way yet.
    for (const row of this.#room.store.due(now, 2 * concurrency)) {
      if (this.#busy.size >= concurrency) break;
      if (this.#busy.has(row.id)) continue;
      if (expiredBy(row, now) === "idle" && this.#users.has(row.id)) this.#write(row, { idleAt: null });
      else this.#begin(row, now);
    }
    return this.#room.store.nextDue(now);
  }

  #begin(row: SandboxRow, now: number): void {
    this.#busy.add(row.id);
    void this.#do(row, now).then(() => {
      this.#busy.delete(row.id);
      this.#room.alarm.by(0);
    });
  }

  async #do(row: SandboxRow, now: number): Promise<void> {
    const { id } = row;
    try {
      if (expiredBy(row, now) === null) await this.#start(id);
      else await this.#sandboxes.expire(id);
    } catch (error) {
      this.#room.log.error({ sandbox: id, err: error }, "what a sandbox was due for failed");
    }
    // Whatever the cause, it is not tried again at once.
    if (this.#isDue(id)) await new Promise((later) => setTimeout(later, againMilliseconds).unref());
  }

  #isDue(id: string): boolean {
    try {
      const now = this.#room.clock.now();
      const row = this.#room.store.get(id);
      return row !== null && (expiredBy(row, now) !== null || (row.schedule.restartAt ?? now + 1) <= now);
    } catch {
      return true;
    }
  }

  async #start(id: string): Promise<void> {
    const start = this.#sandboxes.startDue(id);
    this.#starts.add(start);
    try {
      await start;
    } finally {
      this.#starts.delete(start);
    }
  }
}
