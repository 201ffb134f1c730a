import { DomainError } from "./errors.ts";
import type { Instances } from "./instances.ts";
import type { Launches } from "./launches.ts";
import { deadlines, lifecycle, maybeAlive } from "./lifecycle.ts";
import type { SandboxRow } from "./sandbox-ports.ts";
import { enter, need, type SandboxRoom } from "./sandbox-room.ts";
import { incomplete, isHeld } from "./teardowns.ts";

/** How long an end is waited for that was found to be incomplete before. */
const heldMilliseconds = 1_000;

/** Ends running sandboxes, with grace or at once, and waits until nothing of them is left. */
export class Stops {
  readonly #room: SandboxRoom;
  readonly #instances: Instances;
  readonly #launches: Launches;

  constructor(room: SandboxRoom, instances: Instances, launches: Launches) {
    this.#room = room;
    this.#instances = instances;
    this.#launches = launches;
  }

  /**
   * Gives the row at rest. A sandbox that does not run is given as it is; one that is starting is first awaited.
   * @throws DomainError `teardown-incomplete`
   */
  async stop(id: string, verb: "stop" | "kill", graceMilliseconds: number): Promise<SandboxRow> {
    await this.#launches.current(id)?.catch(() => {});
    const now = this.#room.clock.now();
    const row = need(this.#room, id);
    const outcome = lifecycle[row.state][verb];
    if (!maybeAlive(row.state)) return this.#atRest(row);
    if (row.instance === null) throw incomplete(row); // only its files are left
    const stopBy = Math.min(row.stopBy ?? Number.MAX_SAFE_INTEGER, now + graceMilliseconds);
    try {
      if (outcome.act === "to") enter(this.#room, row, outcome.state, { reason: "stopped-by-user", message: null, stopBy });
      else enter(this.#room, row, row.state, { stopBy });
    } catch (error) {
      throw verb === "kill" ? await this.#killUnrecorded(id, error) : error;
    }
    await endInstance(this.#room, this.#instances, id, graceMilliseconds);
    await this.#room.persistence.durable();
    return need(this.#room, id);
  }

  /** That no word of it can be stored is no reason to let it run: its supervisor keeps how it ended until somebody can. Gives the error to tell. */
  async #killUnrecorded(id: string, error: unknown): Promise<unknown> {
    this.#room.log.error({ sandbox: id, err: error }, "a sandbox is killed of which that cannot be stored");
    await this.#room.supervisors.stop(id, 0);
    if (!(error instanceof DomainError)) return error;
    return new DomainError(error.code, `${error.message}; its processes are killed all the same, which is stored once it can be`, {
      cause: error,
    });
  }

  /** One that was to be started again, or to be deleted in time, is left as it is from now on. */
  async #atRest(row: SandboxRow): Promise<SandboxRow> {
    const { expiresAt, idleAt, restartAt } = row.schedule;
    if ((expiresAt ?? idleAt ?? restartAt) === null || row.reason === "expired") return row;
    const message = restartAt === null ? row.message : "its restart was cancelled";
    const rested = enter(this.#room, row, row.state, {
      message,
      schedule: { ...row.schedule, expiresAt: null, idleAt: null, restartAt: null },
    });
    await this.#room.persistence.durable();
    return rested;
  }
}

/**
 * Orders the end of an instance and waits for it; where neither comes to be in time, kills and cleans up without the supervisor.
 * @throws DomainError `teardown-incomplete` while something of it is still there, which is gone on with
 */
export const endInstance = async (room: SandboxRoom, instances: Instances, id: string, graceMilliseconds: number): Promise<void> => {
  const patience = deadlines.stopping ?? 0;
  let isAnswered = true;
  try {
    await room.supervisors.stop(id, graceMilliseconds);
  } catch (error) {
    isAnswered = false;
    room.log.warn({ sandbox: id, err: error }, "a supervisor did not take the order to stop");
    instances.lost(id, (error as Error).message);
  }
  const before = room.store.get(id);
  const isKnown = isAnswered && before !== null && isHeld(before);
  if (await instances.ended(id, isKnown ? heldMilliseconds : graceMilliseconds + patience)) return;
  const row = room.store.get(id);
  if (row === null) return;
  // A supervisor that tells what is in its way goes on trying; to kill it would not help.
  if (isAnswered && isHeld(row)) throw incomplete(row);
  room.log.error({ sandbox: id }, "a sandbox did not end in time; cleaning up without its supervisor");
  const message = "the supervisor did not end the sandbox in time, and was killed";
  if (await instances.clean(row, "supervisor-lost", message, true)) return;
  instances.lost(id, message);
  throw incomplete(need(room, id));
};
