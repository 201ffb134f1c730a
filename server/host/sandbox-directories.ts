import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { SandboxDirectories } from "../domain/recovery.ts";

/** STATE_DIR/sandboxes: a directory for each sandbox that ever ran, with its upper and work directory. */
export class StateDirectories implements SandboxDirectories {
  readonly #path: string;

  constructor(stateDir: string) {
    this.#path = join(stateDir, "sandboxes");
  }

  async ids(): Promise<string[]> {
    const entries = await readdir(this.#path);
    return entries.filter((name) => /^[0-9a-z]{1,64}$/.test(name));
  }
}
