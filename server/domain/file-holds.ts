import { setTimeout as sleep } from "node:timers/promises";
import { capabilityMask } from "./capabilities.ts";
import { launchOn } from "./disks.ts";
import type { LaunchOrder } from "./instance-ports.ts";
import type { Instances } from "./instances.ts";
import { orderOf } from "./launches.ts";
import type { SandboxRow } from "./sandbox-ports.ts";
import type { SandboxRoom } from "./sandbox-room.ts";
import { endUnknown } from "./unknown-instances.ts";

/** How long a hold that nobody uses is kept for the next request: milliseconds. */
const idleMilliseconds = 1_000;
/** How long a start or a deletion lets requests on files finish: milliseconds. */
const finishMilliseconds = 2_000;
/** How long a supervisor is waited for after a launch that was not answered. */
const lateMilliseconds = 2_000;

interface Hold {
  /** Resolves when its namespaces stand. */
  made: Promise<void>;
  users: number;
  idle: NodeJS.Timeout | null;
  /** Its end, once that is under way. */
  ending: Promise<void> | null;
  unused: (() => void) | null;
}

/**
 * Namespaces without a command, over the files of sandboxes that do not run, for as long as somebody works on those files. A hold has
 * the sandbox's id, so it ends before the sandbox is started or deleted. The sandbox's stored state knows nothing of it.
 */
export class FileHolds {
  readonly #room: SandboxRoom;
  readonly #instances: Instances;
  readonly #holds = new Map<string, Hold>();

  constructor(room: SandboxRoom, instances: Instances) {
    this.#room = room;
    this.#instances = instances;
    instances.endHold = (id) => this.end(id);
  }

  /** The end of this sandbox's hold that is under way. */
  ending(id: string): Promise<void> | null {
    return this.#holds.get(id)?.ending ?? null;
  }

  /**
   * Makes a hold, or takes the one that is there; the caller has seen, since its last await, that none is ending and that the sandbox
   * neither runs nor starts. Gives what to call when it is used no more.
   * @throws DomainError of a launch
   */
  async take(row: SandboxRow): Promise<() => void> {
    const { id } = row;
    let hold = this.#holds.get(id);
    if (hold === undefined) {
      hold = { made: this.#make(row), users: 0, idle: null, ending: null, unused: null };
      this.#holds.set(id, hold);
    }
    const taken = hold;
    taken.users++;
    if (taken.idle !== null) clearTimeout(taken.idle);
    let released = false;
    const release = () => {
      if (released) return;
      released = true;
      this.#release(id, taken);
    };
    try {
      await taken.made;
      return release;
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Ends the hold, if there is one, after its users have had a moment to finish. Nothing of it is left then. */
  end(id: string): Promise<void> {
    const hold = this.#holds.get(id);
    if (hold === undefined) return Promise.resolve();
    hold.ending ??= this.#end(id, hold);
    return hold.ending;
  }

  /** Ends all. */
  async endAll(): Promise<void> {
    await Promise.all([...this.#holds.keys()].map((id) => this.end(id)));
  }

  #release(id: string, hold: Hold): void {
    hold.users--;
    if (hold.users > 0) return;
    hold.unused?.();
    if (hold.ending === null) hold.idle = setTimeout(() => void this.end(id), idleMilliseconds);
  }

  async #make(row: SandboxRow): Promise<void> {
    await this.#instances.supervisorReleased(row.id);
    // What its supervisor tells is not the sandbox's: nothing of it is stored, and nobody but this class releases it.
    this.#instances.claim(row.id);
    try {
      await launchOn(this.#room, this.#instances, holdOrderOf(row));
    } catch (error) {
      await endUnknown(this.#room.supervisors, row.id, isUnanswered(error) ? lateMilliseconds : 0).catch(() => {});
      this.#instances.unclaim(row.id);
      this.#holds.delete(row.id);
      throw error;
    }
  }

  async #end(id: string, hold: Hold): Promise<void> {
    if (hold.idle !== null) clearTimeout(hold.idle);
    const made = await hold.made.then(
      () => true,
      () => false,
    );
    if (!made) return;
    if (hold.users > 0) {
      const unused = new Promise<void>((resolve) => {
        hold.unused = resolve;
      });
      await Promise.race([unused, sleep(finishMilliseconds, undefined, { ref: false })]);
    }
    try {
      await endUnknown(this.#room.supervisors, id, 0);
    } catch (error) {
      this.#room.log.error({ sandbox: id, err: error }, "the namespaces that held a sandbox's files did not end as ordered");
      await this.#room.supervisors.discard(id).catch(() => {});
    } finally {
      this.#instances.unclaim(id);
      this.#holds.delete(id);
    }
  }
}

const isUnanswered = (error: unknown): boolean =>
  ["launcher-unavailable", "deadline-exceeded"].includes((error as { code?: string }).code ?? "");

/** Limits of what works on files: 1,000 levels of a tree hold a descriptor each. */
const holdLimits = { memoryBytes: 268_435_456, cpuQuotaMicroseconds: 0, cpuWeight: 0, pids: 64, openFiles: 4_096, outputBytes: 4_096 };

export const holdOrderOf = (row: SandboxRow): LaunchOrder => ({
  ...orderOf(row),
  ...holdLimits,
  hold: true,
  command: [],
  env: [],
  cwd: "/",
  uid: 0,
  gid: 0,
  init: false,
  tty: false,
  capabilityMask: capabilityMask([]),
  seccomp: "default",
});
