import { isDeepStrictEqual } from "node:util";
import type { RecoveryReport } from "./info.ts";
import type { Attached, Instance } from "./instance-ports.ts";
import type { Instances } from "./instances.ts";
import { deadlines, lifecycle } from "./lifecycle.ts";
import { isoTime } from "./reports.ts";
import type { SandboxRow } from "./sandbox-ports.ts";
import { enter, type SandboxRoom } from "./sandbox-room.ts";
import { endInstance } from "./stops.ts";
import { endUnknown } from "./unknown-instances.ts";

/** How many sandboxes are looked at at a time. */
const concurrency = 32;

/** Directories of sandboxes' files, which no row may know of. */
export interface SandboxDirectories {
  ids(): Promise<string[]>;
}

/**
 * Makes the store and the machine agree after a start of the daemon, before anybody is answered: adopts what lives, records what
 * ended with its true exit, completes or takes back what was half done, and removes what nobody knows.
 */
export class Recovery {
  readonly #room: SandboxRoom;
  readonly #instances: Instances;
  readonly #directories: SandboxDirectories;
  readonly #report: RecoveryReport;
  /** Sandboxes with commands when the former daemon ended. */
  #commanded = new Set<string>();

  constructor(room: SandboxRoom, instances: Instances, directories: SandboxDirectories) {
    this.#room = room;
    this.#instances = instances;
    this.#directories = directories;
    this.#report = {
      at: isoTime(Date.now()),
      milliseconds: 0,
      adopted: [],
      ended: [],
      lost: [],
      rebooted: [],
      orphansStopped: [],
      directoriesRemoved: [],
      problems: [],
    };
  }

  async run(): Promise<RecoveryReport> {
    const began = performance.now();
    this.#room.clock.now(); // it may have been set while no daemon ran
    const sockets = new Set(await this.#room.supervisors.sockets());
    const alive = new Set(this.#room.store.aliveIds());
    this.#commanded = this.#room.records.sandboxes();
    await this.#each([...alive], (id) =>
      this.#attempt(
        id,
        () => this.#recover(id, sockets.has(id)),
        () => this.#instances.lost(id, "no supervisor answered when the daemon started"),
      ),
    );
    const orphans = [...sockets].filter((id) => !alive.has(id));
    await this.#each(orphans, (id) => this.#attempt(id, () => this.#stopOrphan(id)));
    await this.#removeDirectories();
    this.#report.milliseconds = Math.round(performance.now() - began);
    await this.#attempt("daemon", async () => {
      this.#room.events.append("daemon.recovered", "daemon", { ...this.#report });
      await this.#room.persistence.durable();
    });
    return this.#report;
  }

  /** Some at a time: what one waits for, its supervisor or its end, does not hold up the others. */
  async #each<T>(all: readonly T[], work: (each: T) => Promise<void>): Promise<void> {
    const left = all.values();
    const lane = async () => {
      for (const each of left) await work(each);
    };
    await Promise.all(Array.from({ length: concurrency }, lane));
    for (const ids of [this.#report.adopted, this.#report.ended, this.#report.lost, this.#report.rebooted, this.#report.orphansStopped])
      ids.sort();
  }

  /** A start comes to its end on a full disk, too. @param otherwise what is done where the work fails */
  async #attempt(id: string, work: () => Promise<void>, otherwise = () => {}): Promise<void> {
    try {
      await work();
    } catch (error) {
      otherwise();
      this.#report.problems.push(`${id}: ${(error as Error).message}`);
      this.#room.log.error({ sandbox: id, err: error }, "the recovery of a sandbox failed");
    }
  }

  async #recover(id: string, hasSocket: boolean): Promise<void> {
    // Read one by one: the store remembers the rows read last, and all of them at once are more than it remembers.
    const row = this.#room.store.get(id);
    if (row === null) return;
    if (row.bootId !== null && row.bootId !== this.#room.bootId) return this.#rebooted(row);
    if (row.state === "stopping" && row.instance === null) return; // its deletion is gone on with
    const attached = hasSocket ? await this.#room.supervisors.attach(row.id).catch(() => null) : null;
    if (attached?.hold === true) await endUnknown(this.#room.supervisors, row.id, 0);
    else if (attached !== null) return this.#adopt(row, attached);
    this.#report.lost.push(row.id);
    if (row.state === "starting" && row.instance === null) {
      // The launch was never answered, and no supervisor is there: it did not happen, or undid itself.
      enter(this.#room, row, "failed", { reason: "launch-failed", message: "the daemon ended during the launch" });
      return;
    }
    if (!(await this.#instances.clean(row, "supervisor-lost", "no supervisor answered when the daemon started")))
      throw new Error(this.#room.store.get(row.id)?.message ?? "not removed yet");
  }

  /** Namespaces, processes and cgroups of an earlier boot are gone; only the files are left. */
  async #rebooted(row: SandboxRow): Promise<void> {
    if (lifecycle[row.state].rebooted.act !== "to") return;
    enter(this.#room, row, "failed", {
      reason: "host-rebooted",
      message: "the host was rebooted while the sandbox ran",
      instance: null,
      bootId: null,
    });
    this.#room.records.over(row.id);
    this.#report.rebooted.push(row.id);
  }

  async #adopt(row: SandboxRow, attached: Attached): Promise<void> {
    const instance = completed(attached.instance, row.instance);
    const changes = { instance, bootId: this.#room.bootId, startedAt: row.startedAt ?? instance.startedAt };
    if (row.state === "starting") enter(this.#room, row, "running", changes, { pid: instance.pid });
    // The report of the recovery tells of those that are as they were.
    else if (!isAsStored(row, changes)) enter(this.#room, row, row.state, changes, { adopted: true });
    (attached.state === "running" ? this.#report.adopted : this.#report.ended).push(row.id);
    this.#instances.apply(row.id, attached, this.#commanded.has(row.id));
    // The order to stop may not have been given before the daemon died; where it was, a second one can only shorten the grace.
    if (row.state === "stopping" && attached.state === "running") {
      endInstance(this.#room, this.#instances, row.id, Math.max(0, (row.stopBy ?? 0) - this.#room.clock.now())).catch((error: unknown) =>
        this.#room.log.warn({ sandbox: row.id, err: error }, "an end that a former daemon began is not complete"),
      );
    }
    if (attached.state === "gone") await this.#instances.ended(row.id, deadlines.stopping ?? 0);
  }

  /** A supervisor without a row that may be alive: of a creation that nobody was answered, or a release not given. */
  async #stopOrphan(id: string): Promise<void> {
    try {
      await endUnknown(this.#room.supervisors, id, 0);
      this.#report.orphansStopped.push(id);
    } catch (error) {
      await this.#room.supervisors.discard(id);
      throw error;
    }
  }

  async #removeDirectories(): Promise<void> {
    const known = new Set(this.#room.store.ids());
    for (const id of await this.#directories.ids()) {
      if (known.has(id)) continue;
      await this.#attempt(id, async () => {
        await this.#room.launcher.remove(id);
        this.#report.directoriesRemoved.push(id);
      });
    }
  }
}

const isAsStored = (row: SandboxRow, { instance, bootId, startedAt }: Pick<SandboxRow, "instance" | "bootId" | "startedAt">): boolean =>
  row.bootId === bootId && row.startedAt === startedAt && isDeepStrictEqual(row.instance, instance);

/** REPORT names neither the supervisor nor the phases of the launch; the row may. */
const completed = (reported: Instance, stored: Instance | null): Instance => ({
  ...reported,
  supervisorPid: reported.supervisorPid || (stored?.supervisorPid ?? 0),
  supervisorStartTicks: reported.supervisorStartTicks || (stored?.supervisorStartTicks ?? 0),
  phases: reported.phases.length > 0 ? reported.phases : (stored?.phases ?? []),
});
