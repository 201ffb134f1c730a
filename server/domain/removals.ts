import { setTimeout as sleep } from "node:timers/promises";
import { DomainError } from "./errors.ts";
import type { RemovedFiles } from "./instance-ports.ts";
import type { Instances } from "./instances.ts";
import type { Launches } from "./launches.ts";
import { lifecycle, maybeAlive } from "./lifecycle.ts";
import type { Receipt } from "./receipt.ts";
import { isoTime } from "./reports.ts";
import { untilDone } from "./retries.ts";
import type { SandboxRow } from "./sandbox-ports.ts";
import { enter, need, type SandboxRoom } from "./sandbox-room.ts";
import { endInstance } from "./stops.ts";
import { hold, incomplete } from "./teardowns.ts";
import { endUnknown } from "./unknown-instances.ts";

/** How often a launcher is asked to remove files, and the milliseconds in between. */
const removeAttempts = 20;
const removePause = 100;
/** How long a caller whose sandbox could not be launched waits for its files to be removed: the launcher may not answer. */
const forgetMilliseconds = 2_000;
/** How long a start of the daemon waits for deletions that it goes on with. */
const resumeMilliseconds = 500;

/** Deletes sandboxes, whatever state they are in. */
export class Removals {
  readonly #room: SandboxRoom;
  readonly #instances: Instances;
  readonly #launches: Launches;
  readonly #running = new Map<string, Promise<Receipt>>();
  readonly #goingOn = new Set<string>();

  constructor(room: SandboxRoom, instances: Instances, launches: Launches) {
    this.#room = room;
    this.#instances = instances;
    this.#launches = launches;
  }

  /** The removal of this sandbox that is under way. */
  current(id: string): Promise<Receipt> | null {
    return this.#running.get(id) ?? null;
  }

  /** @param cause why: by a caller, or because its lifetime is over */
  remove(id: string, cause: "deleted" | "expired" = "deleted"): Promise<Receipt> {
    let removal = this.#running.get(id);
    if (removal === undefined) {
      removal = this.#remove(id, cause).finally(() => {
        this.#running.delete(id);
        this.#instances.unclaim(id);
      });
      this.#running.set(id, removal);
    }
    return removal;
  }

  /** Goes on with what a former daemon began; resolves when that is done, or takes longer. */
  async resume(): Promise<void> {
    const begun = this.#room.store.deleting().map(({ id }) => this.#goOn(id));
    if (begun.length > 0) await Promise.race([Promise.all(begun), sleep(resumeMilliseconds, null, { ref: false })]);
  }

  /** Takes back a sandbox that was never answered: its row and its files. */
  async forget(id: string): Promise<void> {
    if (this.#room.store.get(id) === null) return;
    this.#room.persistence.transaction(() => {
      this.#room.store.remove(id);
      this.#room.events.append("sandbox.deleted", id, { reason: "launch-failed" });
    });
    const removed = untilDone(
      () => this.#removeFiles(id).then(() => true),
      (error) => this.#warn(id, error),
    );
    const soon = Promise.race([removed, sleep(forgetMilliseconds, null, { ref: false })]);
    await Promise.allSettled([soon, this.#room.persistence.durable()]);
  }

  async #remove(id: string, cause: Receipt["reason"]): Promise<Receipt> {
    const began = performance.now();
    await this.#launches.current(id)?.catch(() => {});
    await this.#instances.released(id);
    const before = need(this.#room, id);
    const ran = maybeAlive(before.state) && before.instance !== null;
    if (ran) {
      this.#instances.claim(id);
      const outcome = lifecycle[before.state].delete;
      if (outcome.act === "to") enter(this.#room, before, outcome.state, { reason: "stopped-by-user", message: null, stopBy: Date.now() });
      else if (before.stopBy === null) enter(this.#room, before, before.state, { stopBy: Date.now() });
      await endInstance(this.#room, this.#instances, id, 0).catch((error: Error) => {
        void this.#goOn(id);
        throw error;
      });
    }
    const row = need(this.#room, id);
    const receipt = this.#receipt(row, ran, cause);
    // Nothing of it is alive. From here on it is deleted to its end, by the next daemon if need be, which knows it by this receipt.
    const remaining = row.receipt?.complete === false ? row.receipt.remaining : ["files"];
    this.#room.store.update({ ...row, receipt: { ...receipt, complete: false, remaining } });
    const files = await this.#removeAll(id, ran).catch((error: Error) => {
      hold(this.#room, row, { ...receipt, complete: false, remaining: [`files: ${error.message}`] }, row.reason);
      void this.#goOn(id);
      throw incomplete(need(this.#room, id));
    });
    const done: Receipt = { ...receipt, ...files, durationMs: Math.round(performance.now() - began), at: isoTime(Date.now()) };
    this.#room.persistence.transaction(() => {
      this.#room.store.remove(id);
      this.#room.events.append("sandbox.deleted", id, { name: row.name, receipt: done });
    });
    await this.#room.persistence.durable();
    return done;
  }

  /** Deletes it, however often that has to be tried. */
  async #goOn(id: string): Promise<void> {
    if (this.#goingOn.has(id)) return;
    this.#goingOn.add(id);
    const again = async () => {
      if (this.#room.store.get(id) !== null) await this.remove(id);
      return true;
    };
    await untilDone(again, (error) => this.#warn(id, error));
    this.#goingOn.delete(id);
  }

  #warn(id: string, error: unknown): void {
    this.#room.log.warn({ sandbox: id, err: error }, "a deleted sandbox is not removed yet; it is tried again");
  }

  #receipt(row: SandboxRow, ran: boolean, reason: Receipt["reason"]): Receipt {
    const nothing = { processes: 0, mounts: 0, cgroups: 0, namespaces: {} };
    // Of a deletion that is gone on with, the counts of its first part stand.
    const torn = row.receipt !== null && (ran || !row.receipt.complete) ? row.receipt : nothing;
    const removed = { files: 0, bytes: 0, durationMs: 0, complete: true, remaining: [], at: isoTime(Date.now()) };
    return { ...torn, id: row.id, name: row.name, reason, ...removed };
  }

  /** The supervisor that is released takes the files along; where there is none, or it failed, the launcher removes them. */
  async #removeAll(id: string, ran: boolean): Promise<RemovedFiles> {
    try {
      const removed = ran ? await this.#room.supervisors.releaseAndRemove(id) : null;
      if (removed !== null) return removed;
    } catch (error) {
      this.#room.log.warn({ sandbox: id, err: error }, "the supervisor of a deleted sandbox did not remove its files");
    }
    try {
      return await this.#removeFiles(id);
    } catch (error) {
      // A launch that was given up may have come to pass: its supervisor holds the files, and no row stands for it.
      const ended = endUnknown(this.#room.supervisors, id, 0).then(
        () => true,
        () => false,
      );
      if (!(await ended)) throw error;
      return this.#removeFiles(id);
    }
  }

  /** A launcher that is just being replaced is asked again. @throws Error naming what could not be removed */
  async #removeFiles(id: string): Promise<RemovedFiles> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#room.launcher.remove(id);
      } catch (error) {
        const isReplaced = error instanceof DomainError && error.code === "launcher-unavailable";
        if (!isReplaced || attempt === removeAttempts) throw error;
        await sleep(removePause, null, { ref: false });
      }
    }
  }
}
