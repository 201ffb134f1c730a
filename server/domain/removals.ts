import { setTimeout as sleep } from "node:timers/promises";
import { DomainError } from "./errors.ts";
import type { Instances } from "./instances.ts";
import type { Launches } from "./launches.ts";
import { lifecycle, maybeAlive } from "./lifecycle.ts";
import type { RemovedFiles, SandboxRow } from "./ports.ts";
import type { Receipt } from "./receipt.ts";
import { isoTime } from "./reports.ts";
import { enter, need, type SandboxRoom } from "./sandbox-room.ts";
import { endInstance } from "./stops.ts";

/** How often a launcher is asked to remove files, and the milliseconds in between. */
const removeAttempts = 20;
const removePause = 100;

/** Deletes sandboxes, whatever state they are in. */
export class Removals {
  readonly #room: SandboxRoom;
  readonly #instances: Instances;
  readonly #launches: Launches;
  readonly #running = new Map<string, Promise<Receipt>>();

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

  /** Takes back a sandbox that was never answered: its row and its files. */
  async forget(id: string): Promise<void> {
    if (this.#room.store.get(id) === null) return;
    this.#room.persistence.transaction(() => {
      this.#room.store.remove(id);
      this.#room.events.append("sandbox.deleted", id, { reason: "launch-failed" });
    });
    await Promise.all([this.#room.persistence.durable(), this.#removeFiles(id)]);
  }

  async #remove(id: string, cause: Receipt["reason"]): Promise<Receipt> {
    const began = performance.now();
    await this.#launches.current(id)?.catch(() => {});
    await this.#instances.released(id);
    const before = need(this.#room, id);
    const ran = maybeAlive(before.state);
    if (ran) {
      this.#instances.claim(id);
      const outcome = lifecycle[before.state].delete;
      if (outcome.act === "to") enter(this.#room, before, outcome.state, { reason: "stopped-by-user", message: null, stopBy: Date.now() });
      else if (before.stopBy === null) enter(this.#room, before, before.state, { stopBy: Date.now() });
      await endInstance(this.#room, this.#instances, id, 0);
    }
    const row = need(this.#room, id);
    const receipt = this.#receipt(row, ran, cause);
    this.#room.persistence.transaction(() => {
      this.#room.store.remove(id);
      this.#room.events.append("sandbox.deleted", id, { name: row.name, receipt });
    });
    const [files] = await Promise.all([this.#removeAll(id, ran), this.#room.persistence.durable()]);
    const left = files === null ? ["files"] : [];
    return {
      ...receipt,
      files: files?.files ?? 0,
      bytes: files?.bytes ?? 0,
      durationMs: Math.round(performance.now() - began),
      complete: receipt.complete && left.length === 0,
      remaining: [...receipt.remaining, ...left],
      at: isoTime(Date.now()),
    };
  }

  #receipt(row: SandboxRow, ran: boolean, reason: Receipt["reason"]): Receipt {
    const nothing = { processes: 0, mounts: 0, cgroups: 0, namespaces: {}, complete: true, remaining: [] };
    const torn = ran && row.receipt !== null ? row.receipt : nothing;
    return { ...torn, id: row.id, name: row.name, reason, files: 0, bytes: 0, durationMs: 0, at: isoTime(Date.now()) };
  }

  /** The supervisor that is released takes the files along; where there is none, or it failed, the launcher removes them. */
  async #removeAll(id: string, ran: boolean): Promise<RemovedFiles | null> {
    try {
      const removed = ran ? await this.#room.supervisors.releaseAndRemove(id) : null;
      if (removed !== null) return removed;
    } catch (error) {
      this.#room.log.warn({ sandbox: id, err: error }, "the supervisor of a deleted sandbox did not remove its files");
    }
    return this.#removeFiles(id);
  }

  /**
   * A launcher that is just being replaced is asked again. Null when they could not be removed: the row is gone by then, and the next start
   * of the daemon sweeps what is left.
   */
  async #removeFiles(id: string): Promise<RemovedFiles | null> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#room.launcher.remove(id);
      } catch (error) {
        const isReplaced = error instanceof DomainError && error.code === "launcher-unavailable";
        if (isReplaced && attempt < removeAttempts) await sleep(removePause, null, { ref: false });
        else {
          this.#room.log.error({ sandbox: id, err: error }, "the files of a deleted sandbox could not be removed");
          return null;
        }
      }
    }
  }
}
