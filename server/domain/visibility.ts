import { type Owners, ownerOf, sees, seesSubject, type View } from "./callers.ts";
import { type Operations, operationNotFound } from "./operations.ts";
import { runNotFound } from "./run.ts";
import type { Runs } from "./runs.ts";
import type { SandboxStore } from "./sandbox-ports.ts";
import { sandboxNotFound } from "./sandbox-room.ts";

/** What somebody who does not see all may name. The rest is refused in the very words for what is not there. */
export class Visibility {
  readonly #sandboxes: Pick<SandboxStore, "find"> & Owners;
  readonly #runs: Pick<Runs, "get">;
  readonly #operations: Pick<Operations, "get">;

  constructor(sandboxes: Pick<SandboxStore, "find"> & Owners, runs: Pick<Runs, "get">, operations: Pick<Operations, "get">) {
    this.#sandboxes = sandboxes;
    this.#runs = runs;
    this.#operations = operations;
  }

  /** Its id, which goes on to mean this sandbox when its name passes to another. @throws DomainError `sandbox-not-found` */
  sandbox(view: View, nameOrId: string): string {
    const row = this.#sandboxes.find(nameOrId);
    if (row === null || !sees(view, row)) throw sandboxNotFound(nameOrId);
    return row.id;
  }

  /** @throws DomainError `run-not-found` */
  run(view: View, id: string): void {
    const { caller, labels } = this.#runs.get(id);
    if (!sees(view, { owner: ownerOf(caller), labels })) throw runNotFound(id);
  }

  /** Whether it works on something that is seen. */
  hasOperation(view: View, { kind, subject }: { kind: string; subject: string }): boolean {
    return seesSubject(view, this.#sandboxes, kind, subject);
  }

  /** @throws DomainError `operation-not-found` */
  operation(view: View, id: string): void {
    if (!this.hasOperation(view, this.#operations.get(id))) throw operationNotFound(id);
  }
}
