import { join } from "node:path";
import { DomainError } from "../domain/errors.ts";
import type { FileAgent, FileAgents } from "../domain/file-ports.ts";
import { ConnectionLostError } from "./connection.ts";
import { FileAgentClient } from "./file-agent.ts";
import { FileAgentConnection } from "./file-agent-connection.ts";

/** Starts file agents by RUN_DIR/sandboxes/ID.sock. */
export class FileAgentClients implements FileAgents {
  readonly #directory: string;

  constructor(runDir: string) {
    this.#directory = join(runDir, "sandboxes");
  }

  async open(id: string): Promise<FileAgent> {
    let connection: FileAgentConnection;
    try {
      connection = await FileAgentConnection.open(join(this.#directory, `${id}.sock`));
    } catch (error) {
      const gone = error instanceof ConnectionLostError && (error.errno === "ENOENT" || error.errno === "ECONNREFUSED");
      throw new DomainError(gone ? "files-interrupted" : "launcher-unavailable", `the supervisor of ${id} gave no answer`, {
        cause: error,
      });
    }
    const agent = new FileAgentClient(connection);
    try {
      await agent.begin();
      return agent;
    } catch (error) {
      agent.close();
      throw error;
    }
  }
}
