import { capabilityMask } from "./capabilities.ts";
import { namespaceSwitches } from "./definition.ts";
import { environmentOf } from "./definitions.ts";
import { launchOn } from "./disks.ts";
import { DomainError } from "./errors.ts";
import type { LaunchOrder } from "./instance-ports.ts";
import type { Instances } from "./instances.ts";
import { liveLimitsOf } from "./limits.ts";
import { kernelName } from "./namespace-rules.ts";
import type { SandboxRow } from "./sandbox-ports.ts";
import { enter, type SandboxRoom } from "./sandbox-room.ts";

export const orderOf = (row: SandboxRow): LaunchOrder => {
  const { definition } = row;
  const { limits } = definition;
  return {
    id: row.id,
    rootId: row.rootId,
    isolate: namespaceSwitches.filter((key) => definition.namespaces[key]).map((key) => kernelName[key]),
    command: definition.command,
    env: environmentOf(definition),
    cwd: definition.cwd,
    uid: definition.user.uid,
    gid: definition.user.gid,
    hostname: definition.hostname,
    init: definition.init,
    tty: definition.tty,
    capabilityMask: capabilityMask(definition.capabilities),
    seccomp: definition.seccomp,
    ...liveLimitsOf(limits),
    outputBytes: limits.outputBytes,
  };
};

/** As `orderOf`, but no command runs: an init holds the namespaces, and what is to run in them is started as processes. */
export const heldOrderOf = (row: SandboxRow): LaunchOrder => ({
  ...orderOf(row),
  hold: true,
  command: [],
  env: [],
  cwd: "/",
  uid: 0,
  gid: 0,
  init: false,
  tty: false,
});

/** Turns stored sandboxes into running ones; at most one launch of a sandbox is under way. */
export class Launches {
  readonly #room: SandboxRoom;
  readonly #instances: Instances;
  readonly #running = new Map<string, Promise<SandboxRow>>();

  constructor(room: SandboxRoom, instances: Instances) {
    this.#room = room;
    this.#instances = instances;
  }

  /** The launch of this sandbox that is under way. */
  current(id: string): Promise<SandboxRow> | null {
    return this.#running.get(id) ?? null;
  }

  /** Refuses when the machine lacks what a launch needs. @throws DomainError `host-not-ready`, `launcher-unavailable` */
  async ready(): Promise<void> {
    if (this.#room.launcher.lastFacts()?.problems.length === 0) return;
    // What was missing may have been mended meanwhile.
    const facts = await this.#room.launcher.facts();
    if (facts.problems.length === 0) return;
    const problems = facts.problems.map(({ layer, message }) => `${layer}: ${message}`);
    throw new DomainError(
      "host-not-ready",
      `this machine cannot apply every layer of a launch: ${problems.join("; ")}; GET /v1/preflight says how to mend it`,
      {
        members: { problems: facts.problems },
      },
    );
  }

  /**
   * Launches a sandbox whose row is at rest, or was just inserted in the state `starting`. `begin` writes the intent and
   * gives the row; it runs once a former run's supervisor is released and the machine is known to be able. `undo` settles
   * the row when that fails, before anybody who waits for this launch goes on.
   * @param orderFor `heldOrderOf` for one whose command is not to run
   * @throws DomainError of the launch
   */
  launch(id: string, begin: () => SandboxRow, undo: (error: Error) => Promise<void>, orderFor = orderOf): Promise<SandboxRow> {
    const work = this.#launch(id, begin, orderFor)
      .catch(async (error: Error) => {
        await undo(error);
        throw error;
      })
      .finally(() => this.#running.delete(id));
    this.#running.set(id, work);
    return work;
  }

  async #launch(id: string, begin: () => SandboxRow, orderFor: typeof orderOf): Promise<SandboxRow> {
    await this.#instances.released(id);
    await this.ready();
    const row = begin();
    // The intent reaches the disk while the launch is under way: what a power cut could lose, it also ends.
    const [stored, launched] = await Promise.allSettled([
      this.#room.persistence.durable(),
      launchOn(this.#room, this.#instances, orderFor(row)),
    ]);
    if (launched.status === "rejected" || stored.status === "rejected") {
      const error = launched.status === "rejected" ? launched.reason : (stored as PromiseRejectedResult).reason;
      // Without an answer of the launcher's nobody knows whether it launched.
      if (launched.status === "fulfilled" || !isRefusal(error)) await this.#instances.endUnanswered(id);
      const failure = error instanceof DomainError ? error : null;
      this.#room.measurements.launchFailed(failure?.code ?? "internal", (failure?.members["layer"] as string | undefined) ?? null);
      throw error;
    }
    this.#room.measurements.launched(launched.value.phases);
    const running = enter(
      this.#room,
      row,
      "running",
      { instance: launched.value, bootId: this.#room.bootId, startedAt: launched.value.startedAt },
      { pid: launched.value.pid },
    );
    this.#instances.follow(id);
    return running;
  }
}

/** Whether the launcher answered that it did not launch, as opposed to not answering. */
const isRefusal = (error: unknown): boolean =>
  error instanceof DomainError && error.code !== "launcher-unavailable" && error.code !== "deadline-exceeded";
