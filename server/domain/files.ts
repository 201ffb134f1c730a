import { DomainError } from "./errors.ts";
import { FileHolds } from "./file-holds.ts";
import type { FileAgent, FileAgents } from "./file-ports.ts";
import { deadlines, maybeAlive } from "./lifecycle.ts";
import type { SandboxRow } from "./sandbox-ports.ts";
import { need, type SandboxRoom } from "./sandbox-room.ts";
import type { Sandboxes } from "./sandboxes.ts";

/** An agent at work for one request. `close` ends it and gives back what it used; it is called once the request is over, whatever became of it. */
export interface LeasedAgent {
  agent: FileAgent;
  close(): void;
}

/** How often a sandbox may change its state while a request waits for it. */
const patience = 5;
/** How long a sandbox in which no agent could begin is given to end: milliseconds. */
const passingMilliseconds = 1_000;

/** Files of sandboxes, whether they run or not. Each request has an agent of its own. */
export class Files {
  readonly #room: SandboxRoom;
  readonly #sandboxes: Sandboxes;
  readonly #agents: FileAgents;
  readonly #holds: FileHolds;
  #closed = false;

  constructor(room: SandboxRoom, sandboxes: Sandboxes, agents: FileAgents) {
    this.#room = room;
    this.#sandboxes = sandboxes;
    this.#agents = agents;
    this.#holds = new FileHolds(room, sandboxes.instances);
  }

  /**
   * An agent in the running sandbox, or in namespaces that hold the files of one that does not run.
   * @throws DomainError `sandbox-not-found`, `files-unavailable`, `files-busy`, `files-interrupted`, and those of a launch
   */
  async open(nameOrId: string): Promise<LeasedAgent> {
    const { id } = need(this.#room, nameOrId);
    for (let turn = 1; ; turn++) {
      if (this.#closed) throw new DomainError("shutting-down", "the daemon is shutting down");
      const row = await this.#settled(id);
      try {
        return maybeAlive(row.state) ? await this.#inside(row) : await this.#held(row);
      } catch (error) {
        const passing = error instanceof DomainError && error.code === "files-interrupted";
        if (!passing || turn === patience) throw error;
        await this.#sandboxes.instances.ended(id, passingMilliseconds);
      }
    }
  }

  /** Ends what holds files of sandboxes that do not run. */
  async shutDown(): Promise<void> {
    this.#closed = true;
    await this.#holds.endAll();
  }

  /** The row once nothing is under way that decides where the files are. Nothing is awaited between the last look and the return. */
  async #settled(id: string): Promise<SandboxRow> {
    for (;;) {
      const row = need(this.#room, id);
      if (!row.definition.namespaces.mount) {
        throw new DomainError(
          "files-unavailable",
          `the sandbox "${row.name}" shares the host's mount namespace: it has no files of its own`,
        );
      }
      if (row.state === "paused") {
        throw new DomainError("state-conflict", `the sandbox "${row.name}" is paused, and so is all that works in it`, {
          members: { state: row.state },
        });
      }
      const waiting = this.#sandboxes.underWay(id) ?? this.#holds.ending(id);
      if (waiting !== null) await waiting.catch(() => {});
      else if (row.state === "stopping") await this.#sandboxes.instances.ended(id, deadlines.stopping ?? 0);
      else return row;
    }
  }

  async #inside(row: SandboxRow): Promise<LeasedAgent> {
    const agent = await this.#agents.open(row.id);
    return { agent, close: () => this.#close(row.id, agent) };
  }

  async #held(row: SandboxRow): Promise<LeasedAgent> {
    const release = await this.#holds.take(row);
    try {
      const agent = await this.#agents.open(row.id);
      const close = () => {
        this.#close(row.id, agent);
        release();
      };
      return { agent, close };
    } catch (error) {
      release();
      throw error;
    }
  }

  #close(id: string, agent: FileAgent): void {
    const leftover = agent.leftover();
    agent.close();
    if (leftover !== null && !this.#closed) void this.#sweep(id, leftover);
  }

  /** Removes what an agent that was killed has left; by then the sandbox has ended, been started again or been deleted. */
  async #sweep(id: string, leftover: Buffer): Promise<void> {
    try {
      const { agent, close } = await this.open(id);
      await agent.delete(leftover, true).finally(close);
    } catch (error) {
      if (error instanceof DomainError && (error.code === "file-not-found" || error.code === "sandbox-not-found")) return;
      this.#room.log.warn({ sandbox: id, err: error }, "a file that was being written when its sandbox ended is left behind");
    }
  }
}
