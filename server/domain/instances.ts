import type { Attached, Exit, Gone, SupervisorListener } from "./instance-ports.ts";
import { deadlines, lifecycle, maybeAlive } from "./lifecycle.ts";
import type { ProcessExit, ReportedProcess } from "./process.ts";
import { reconcileLimits } from "./redefinitions.ts";
import { exitReport } from "./reports.ts";
import { untilDone } from "./retries.ts";
import type { SandboxRow } from "./sandbox-ports.ts";
import { enter, type SandboxRoom } from "./sandbox-room.ts";
import { hold, isHeld, receiptOf } from "./teardowns.ts";
import { endUnknown } from "./unknown-instances.ts";

/** How long a supervisor is waited for after a launch that was not answered. */
const lateMilliseconds = 2_000;

/** Follows what the supervisors say about running sandboxes, and stores it. */
export class Instances implements SupervisorListener {
  readonly #room: SandboxRoom;
  readonly #waiting = new Map<string, Set<(isEnded: boolean) => void>>();
  readonly #releasing = new Map<string, Promise<void>>();
  readonly #recovering = new Set<string>();
  /** Whoever deletes a sandbox releases its supervisor after the row is gone; until then nothing is released here. */
  readonly #claimed = new Set<string>();
  /** Ends what holds the files of a sandbox that does not run; set by whoever makes such holds. */
  endHold: (id: string) => Promise<void> = async () => {};

  constructor(room: SandboxRoom) {
    this.#room = room;
    room.supervisors.listen(this);
  }

  /** Attaches in the background to a sandbox that was just launched, once whoever asked for it is answered. */
  follow(id: string): void {
    setImmediate(() => {
      this.#room.supervisors
        .attach(id)
        .then((attached) => this.apply(id, attached))
        .catch((error: Error) => this.lost(id, error.message));
    });
  }

  /**
   * Takes in what ATTACH found: an end that happened while nobody listened, or an order to pause or resume whose answer was lost.
   * @param hasCommands whether any is known to be alive; false saves the look
   */
  apply(id: string, attached: Attached, hasCommands = true): void {
    if (hasCommands) this.processesFound(id, attached.processes);
    const row = this.#room.store.get(id);
    const state = attached.frozen === true ? "paused" : "running";
    if ((row?.state === "running" || row?.state === "paused") && attached.state === "running" && row.state !== state)
      enter(this.#room, row, state);
    reconcileLimits(this.#room, id, attached).catch((error: unknown) =>
      this.#room.log.error({ sandbox: id, err: error }, "the limits of a sandbox are not those that are stored"),
    );
    if (attached.exit !== null) this.exited(id, attached.exit);
    if (attached.gone !== null) this.gone(id, attached.gone);
  }

  exited(id: string, exit: Exit): void {
    const row = this.#room.store.get(id);
    if (row === null || row.exit !== null) return;
    const outcome = lifecycle[row.state].exited;
    if (outcome.act === "to") {
      enter(this.#room, row, outcome.state, { exit, reason: exit.reason, message: describe(exit) }, { exit: exitReport(exit) });
      this.#watchTeardown(id);
    }
    if (outcome.act === "stay") enter(this.#room, row, row.state, { exit, message: describe(exit) }, { exit: exitReport(exit) });
    if (outcome.act === "ignore" && !this.#claimed.has(id))
      this.#room.log.warn({ sandbox: id, state: row.state }, "an exit came at a time when none was expected");
    this.#room.records.wake(id, "main");
  }

  processesFound(id: string, processes: readonly ReportedProcess[]): void {
    this.#room.records.found(id, processes);
  }

  processExited(id: string, process: string, exit: ProcessExit): void {
    this.#room.records.exited(id, process, exit);
  }

  processForgotten(id: string, process: string): void {
    this.#room.records.forgotten(id, process);
  }

  gone(id: string, gone: Gone): void {
    const row = this.#room.store.get(id);
    if (gone.complete) this.#room.records.over(id);
    if (row === null) {
      this.#settle(id);
      return;
    }
    if (!gone.complete) {
      if (maybeAlive(row.state)) hold(this.#room, row, receiptOf(row, row.reason ?? row.exit?.reason ?? "stopped-by-user", gone));
      this.#settle(id, false);
      return;
    }
    const outcome = lifecycle[row.state].gone;
    // The exit came before, and could not be stored: both are asked for again.
    if (outcome.act === "to" && row.exit === null) {
      this.lost(id, "its exit is not stored yet");
      return;
    }
    if (outcome.act === "to") {
      const reason = row.reason ?? row.exit?.reason ?? "stopped-by-user";
      const receipt = receiptOf(row, reason, gone);
      const message = !isHeld(row) ? row.message : row.exit === null ? null : describe(row.exit);
      enter(this.#room, row, outcome.state, { reason, message, receipt, instance: null, bootId: null, stopBy: null }, { receipt });
    }
    if (this.#claimed.has(id)) this.#settle(id);
    else this.#release(id);
  }

  /** Its supervisor hung up, or what it said could not be stored: finds out and stores what is so, however often that has to be tried. */
  lost(id: string, message: string): void {
    if (this.#recovering.has(id)) return;
    this.#recovering.add(id);
    void untilDone(
      () => this.#settleLost(id, message),
      (error) => this.#room.log.warn({ sandbox: id, err: error }, "a lost sandbox is not settled yet; it is tried again"),
    ).finally(() => this.#recovering.delete(id));
  }

  /**
   * Waits until nothing of the sandbox is alive and its supervisor is released; false when that took longer than `milliseconds`, or the
   * supervisor says that something is in its way.
   */
  async ended(id: string, milliseconds: number): Promise<boolean> {
    const row = this.#room.store.get(id);
    const releasing = this.#releasing.get(id);
    if (releasing !== undefined) return releasing.then(() => true);
    if (row === null || !maybeAlive(row.state)) return true;
    return new Promise<boolean>((resolve) => {
      const waiters = this.#waiters(id);
      const timer = setTimeout(() => {
        waiters.delete(wake);
        resolve(false);
      }, milliseconds);
      const wake = (isEnded: boolean) => {
        clearTimeout(timer);
        resolve(isEnded);
      };
      waiters.add(wake);
    });
  }

  /** Resolves when nothing uses the id's socket any more: the supervisor of an ended run, or a hold of its files. A new launch under this id has to wait for it. */
  async released(id: string): Promise<void> {
    await this.#releasing.get(id);
    await this.endHold(id);
  }

  /** As `released`, but a hold may stand. */
  async supervisorReleased(id: string): Promise<void> {
    await this.#releasing.get(id);
  }

  /** Ends what a launch has made that was not answered in time: the launcher was cut off or took too long, and no row stands for it. */
  async endUnanswered(id: string): Promise<void> {
    await this.#releasing.get(id);
    const work = async () => {
      this.claim(id);
      try {
        await endUnknown(this.#room.supervisors, id, lateMilliseconds);
        // Its files were removed before the launch made them.
        if (this.#room.store.get(id) === null) await this.#room.launcher.remove(id);
      } catch (error) {
        this.#room.log.warn({ sandbox: id, err: error }, "no supervisor answers after a launch without an answer");
      }
      this.unclaim(id);
      this.#releasing.delete(id);
    };
    const ending = work();
    this.#releasing.set(id, ending);
    await ending;
  }

  claim(id: string): void {
    this.#claimed.add(id);
  }

  unclaim(id: string): void {
    this.#claimed.delete(id);
  }

  /**
   * Removes what is left of a sandbox that no supervisor guards any more, and stores that it failed. False where something could not be
   * removed: the sandbox is `stopping` then and says what, and the caller has to try again.
   */
  async clean(row: SandboxRow, reason: "supervisor-lost" | "launch-failed", message: string, force = false): Promise<boolean> {
    const gone = row.instance === null ? null : await this.#room.launcher.clean(row.id, row.instance.slot, force);
    const now = this.#room.store.get(row.id);
    if (now === null || !maybeAlive(now.state)) {
      this.#settle(row.id);
      return true;
    }
    const receipt = gone && receiptOf(now, reason, gone, now.receipt);
    if (receipt?.complete === false) {
      hold(this.#room, now, receipt);
      return false;
    }
    enter(this.#room, now, "failed", { reason, message, receipt, instance: null, bootId: null, stopBy: null }, { receipt });
    this.#room.records.over(row.id);
    await this.#room.persistence.durable();
    this.#settle(row.id);
    return true;
  }

  /** After an end by itself nobody waits for the teardown; its deadline is watched here. */
  #watchTeardown(id: string): void {
    void this.ended(id, deadlines.stopping ?? 0).then((ended) => {
      if (!ended) this.#room.log.error({ sandbox: id }, "the teardown of a sandbox that ended by itself takes too long");
    });
  }

  /** False where it has to be tried again. */
  async #settleLost(id: string, message: string): Promise<boolean> {
    const row = this.#room.store.get(id);
    if (row === null || lifecycle[row.state].lost.act === "ignore") {
      this.#settle(id);
      return true;
    }
    let attached: Attached;
    try {
      attached = await this.#room.supervisors.attach(id);
    } catch (error) {
      this.#room.log.warn({ sandbox: id, err: error }, "a supervisor is lost; cleaning up after it");
      // One that is on its way out hangs up before it is dead, and is taken for alive; or the launcher is just being replaced.
      return this.clean(row, "supervisor-lost", `the supervisor is gone: ${message}`);
    }
    this.#room.log.info({ sandbox: id }, "found the supervisor again");
    this.apply(id, attached);
    return true;
  }

  #release(id: string): void {
    if (this.#releasing.has(id)) return;
    const work = async () => {
      try {
        // The exit is committed. A crash of the daemon cannot undo that, and one of the machine ends the supervisor too.
        await this.#room.supervisors.release(id);
      } catch (error) {
        this.#room.log.warn({ sandbox: id, err: error }, "a supervisor was not released");
      }
      this.#releasing.delete(id);
      this.#settle(id);
    };
    this.#releasing.set(id, work());
  }

  #waiters(id: string): Set<(isEnded: boolean) => void> {
    let waiters = this.#waiting.get(id);
    if (waiters === undefined) {
      waiters = new Set();
      this.#waiting.set(id, waiters);
    }
    return waiters;
  }

  #settle(id: string, isEnded = true): void {
    const waiters = this.#waiting.get(id);
    this.#waiting.delete(id);
    for (const wake of waiters ?? []) wake(isEnded);
  }
}

const describe = (exit: Exit): string => {
  if (exit.reason === "exited") return `the main process exited with ${exit.code}`;
  if (exit.reason === "signaled") return `the main process was ended by ${exit.signal}`;
  return "the main process was killed because the memory limit was reached";
};
