import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DomainError } from "../domain/errors.ts";
import type { FileAgent, FileAgents } from "../domain/file-ports.ts";
import { ConnectionLostError } from "./connection.ts";
import { FileAgentClient } from "./file-agent.ts";
import { FileAgentConnection } from "./file-agent-connection.ts";
import { Gate } from "./gate.ts";

/** Agents at work in one sandbox: fewer than its supervisor takes (32), since it hears of an end a little later. */
const agentsMost = 24;
/** Agents that begin at once: each is a connection of the supervisor's 16 until it has begun. */
const beginningMost = 8;
/** How long a request waits for its turn: milliseconds. */
const patienceMilliseconds = 10_000;
const retryMilliseconds = 20;

interface Gates {
  working: Gate;
  beginning: Gate;
  users: number;
}

const busy = (): DomainError => new DomainError("files-busy", "the sandbox is at work on as many requests on files as it takes");

/** Starts file agents by RUN_DIR/sandboxes/ID.sock. */
export class FileAgentClients implements FileAgents {
  readonly #directory: string;
  readonly #gates = new Map<string, Gates>();

  constructor(runDir: string) {
    this.#directory = join(runDir, "sandboxes");
  }

  async open(id: string): Promise<FileAgent> {
    const gates = this.#enter(id);
    const leave = await gates.working.enter(patienceMilliseconds);
    const close = () => {
      leave?.();
      this.#leave(id, gates);
    };
    try {
      if (leave === null) throw busy();
      return await this.#begin(id, gates, close);
    } catch (error) {
      close();
      throw error;
    }
  }

  async #begin(id: string, gates: Gates, closed: () => void): Promise<FileAgent> {
    const deadline = performance.now() + patienceMilliseconds;
    for (;;) {
      const begun = await gates.beginning.enter(patienceMilliseconds);
      if (begun === null) throw busy();
      try {
        return await this.#connect(id, closed);
      } catch (error) {
        if (!(error instanceof DomainError && error.code === "files-busy") || performance.now() > deadline) throw error;
      } finally {
        begun();
      }
      await sleep(retryMilliseconds);
    }
  }

  async #connect(id: string, closed: () => void): Promise<FileAgent> {
    let connection: FileAgentConnection;
    try {
      connection = await FileAgentConnection.open(join(this.#directory, `${id}.sock`));
    } catch (error) {
      const { errno } = error as ConnectionLostError;
      // Its queue of connections is full (connect(2)).
      if (errno === "EAGAIN") throw busy();
      const gone = error instanceof ConnectionLostError && (errno === "ENOENT" || errno === "ECONNREFUSED");
      throw new DomainError(gone ? "files-interrupted" : "launcher-unavailable", `the supervisor of ${id} gave no answer`, {
        cause: error,
      });
    }
    const agent = new FileAgentClient(connection, closed);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      connection.close();
    }, patienceMilliseconds);
    try {
      await agent.begin();
      return agent;
    } catch (error) {
      connection.close();
      throw late ? new DomainError("deadline-exceeded", `the supervisor of ${id} does not answer`, { cause: error }) : error;
    } finally {
      clearTimeout(timer);
    }
  }

  #enter(id: string): Gates {
    const gates = this.#gates.get(id) ?? { working: new Gate(agentsMost), beginning: new Gate(beginningMost), users: 0 };
    gates.users++;
    this.#gates.set(id, gates);
    return gates;
  }

  #leave(id: string, gates: Gates): void {
    if (--gates.users === 0) this.#gates.delete(id);
  }
}
